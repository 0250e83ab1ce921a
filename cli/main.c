/* colonnade: the program. Finds the subcommand and hands over. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/ranks.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
    bool ranks; /* mpirun may start several of it, which then work together */
} commands[] = {
    {"train", cli_train, "train a policy in simulation", true},
    {"adapt", cli_adapt, "grow a column and let it learn on a robot or another task", false},
    {"eval", cli_eval, "measure a policy, in simulation or on a robot", false},
    {"robot", cli_robot, "serve a robot: the MuJoCo twin of a task", false},
    {"calibrate", cli_calibrate, "find which steps of an arm's servos are which angles", false},
    {"keygen", cli_keygen, "make a key pair, for a robot or a controller", false},
    {"control", cli_control, "run a policy on a robot in real time", false},
    {"replay", cli_replay, "watch, verify, simulate, plot, film or play back a logged episode",
     false},
    {"export", cli_export, "make a training set of logged episodes", false},
    {"inspect", cli_inspect, "say what is in a policy, a log or a task", false},
    {"bench", cli_bench, "measure the program itself", true},
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void print_usage(FILE *out)
{
    fprintf(out,
            "Usage: colonnade COMMAND [arguments]\n\n"
            "Robot-arm policies: train in MuJoCo, freeze, grow a column, adapt it on a robot,\n"
            "control the arm in real time, log and replay.\n\nCommands:\n");
    for (int i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].help);
    fprintf(out, "\n'colonnade COMMAND --help' explains a command; --version names the release.\n");
}

/* Runs a command, together with the processes that mpirun started beside this one. */
static int run(int command, int argc, char **argv)
{
    cn_error err = {0};
    if (cli_ranks_join(&err) != CN_OK)
        return cli_fail(&err);
    int status = CLI_USAGE;
    if (commands[command].ranks || !cli_ranks())
        status = commands[command].run(argc, argv);
    else if (cli_ranks()->rank == 0)
        fprintf(stderr,
                "colonnade: mpirun started %d processes of '%s', which works alone; start it "
                "without mpirun\n",
                cli_ranks()->size, commands[command].name);
    cli_ranks_leave();
    return status;
}

int main(int argc, char **argv)
{
    cli_called(argv[0]);
    if (argc < 2) {
        print_usage(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_usage(stdout);
        return CLI_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("colonnade %s\n", CN_VERSION);
        return CLI_DONE;
    }
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return run(i, argc - 1, argv + 1);
    fprintf(stderr, "colonnade: there is no command '%s'\n\n", argv[1]);
    print_usage(stderr);
    return CLI_USAGE;
}
