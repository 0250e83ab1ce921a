/* colonnade keygen: a key pair for a robot or for somebody who talks to one. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "bridge/keys.h"
#include "cli/cli.h"

static const char *const names[] = {"NAME", NULL};
static const cli_usage usage = {
    .synopsis = "colonnade keygen NAME",
    .text = "Makes a key pair, and its folder: NAME.key, the secret, for --key where it was made, "
            "and NAME.pub, "
            "for the other side: the robot's --allow, or the controller's --robot-key.",
    .example = "colonnade keygen keys/robot",
    .positional = names,
};

static cn_status make(const char *name, cn_error *err)
{
    char folder[1024];
    const char *slash = strrchr(name, '/');
    if (slash && slash != name &&
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - name), name) < (int)sizeof folder)
        CN_TRY(cn_file_make_folder(folder, err));
    return cn_key_make(name, err);
}

int cli_keygen(int argc, char **argv)
{
    const char *name = NULL;
    bool json = false;
    const cli_option options[] = {
        {"json", NULL, "end with one line of JSON", CLI_FLAG, &json, 0, 0},
        {0},
    };
    const int status = cli_parse(&usage, options, argc, argv, &name);
    if (status >= 0)
        return status;
    cn_error err = {0};
    if (make(name, &err) != CN_OK)
        return cli_fail(&err);
    printf("%s.key  secret: it stays on this machine\n%s.pub  public: for the other side\n", name,
           name);
    if (json)
        cli_print_json(json_pack("{s:o, s:o}", "key", json_sprintf("%s.key", name), "pub",
                                 json_sprintf("%s.pub", name)));
    return CLI_DONE;
}
