/* Single keys from a terminal: without Return, and without an echo. */
#ifndef CN_CLI_KEYBOARD_H
#define CN_CLI_KEYBOARD_H

#include <stdbool.h>

typedef enum cli_key {
    CLI_KEY_NONE, /* none, or one without a meaning */
    CLI_KEY_PAUSE,
    CLI_KEY_STEP,
    CLI_KEY_FASTER,
    CLI_KEY_SLOWER,
    CLI_KEY_END, /* also when the terminal has gone */
} cli_key;

#define CLI_NO_KEYS "--paused waits for a key, and there is no terminal to press one on"

/* What a person reads about them. */
extern const char cli_keys_help[];

/* Takes the keys from now on; false where nobody can press one: standard input is no terminal, or
 * the program is not in its foreground. */
bool cli_keyboard_open(void);

/* Gives the terminal back as it was; a second call does nothing. Safe in a signal handler. */
void cli_keyboard_close(void);

/* Waits for a key, at most `seconds` and no longer than until a signal; sleeps as long where there
 * are no keys. 0: looks and returns. */
cli_key cli_keyboard_wait(double seconds);

#endif
