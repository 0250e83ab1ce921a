/* Keys: the terminal's line editing is off while they are read. */
#include "cli/keyboard.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

const char cli_keys_help[] = "space pause/resume   right or s step   up/down rate   q end";

static struct termios before;
static volatile sig_atomic_t is_open;

static struct {
    char bytes[64]; /* read and not understood yet */
    size_t size;
} ahead;

bool cli_keyboard_open(void)
{
    if (!isatty(STDIN_FILENO) || tcgetpgrp(STDIN_FILENO) != getpgrp() ||
        tcgetattr(STDIN_FILENO, &before) != 0)
        return false;
    struct termios keys = before;
    keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    keys.c_cc[VMIN] = 1;
    keys.c_cc[VTIME] = 0;
    is_open = tcsetattr(STDIN_FILENO, TCSANOW, &keys) == 0;
    ahead.size = 0;
    return is_open;
}

void cli_keyboard_close(void)
{
    if (is_open)
        tcsetattr(STDIN_FILENO, TCSANOW, &before);
    is_open = 0;
}

/* The first key of what was read; what belongs to it is taken away. Arrows come in two spellings,
 * for the cursor keys' two modes. */
static cli_key understand(void)
{
    static const struct {
        const char *bytes;
        cli_key key;
    } table[] = {
        {" ", CLI_KEY_PAUSE},     {"s", CLI_KEY_STEP},        {"q", CLI_KEY_END},
        {"\033[C", CLI_KEY_STEP}, {"\033[A", CLI_KEY_FASTER}, {"\033[B", CLI_KEY_SLOWER},
        {"\033OC", CLI_KEY_STEP}, {"\033OA", CLI_KEY_FASTER}, {"\033OB", CLI_KEY_SLOWER},
    };
    size_t taken = 1;
    cli_key key = CLI_KEY_NONE;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const size_t size = strlen(table[i].bytes);
        if (size > ahead.size || memcmp(ahead.bytes, table[i].bytes, size) != 0)
            continue;
        key = table[i].key;
        taken = size;
    }
    ahead.size -= taken;
    memmove(ahead.bytes, ahead.bytes + taken, ahead.size);
    return key;
}

cli_key cli_keyboard_wait(double seconds)
{
    if (ahead.size > 0)
        return understand();
    struct pollfd keys = {.fd = STDIN_FILENO, .events = POLLIN};
    if (poll(&keys, is_open ? 1 : 0, (int)(seconds * 1e3)) <= 0)
        return CLI_KEY_NONE;
    const ssize_t got = read(STDIN_FILENO, ahead.bytes, sizeof ahead.bytes);
    if (got <= 0)
        return CLI_KEY_END;
    ahead.size = (size_t)got;
    return understand();
}
