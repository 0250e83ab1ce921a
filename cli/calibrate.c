/* colonnade calibrate: somebody moves the limp arm, and the servos tell what the calibration file
 * needs: the ends of each joint, its zero, its direction. */
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "bridge/plants/limp.h"
#include "cli/cli.h"
#include "cli/place.h"

static const char *const names[] = {"SERVOS", NULL};
static const cli_usage usage = {
    .synopsis = "colonnade calibrate SERVOS --arm TASK --out FILE [--ids LIST]",
    .text = "Finds which steps of an arm's servos are which angles of its model, and writes the "
            "file for `colonnade robot --calibration`. The arm goes limp: you move each joint to "
            "both ends, hold the arm where its model has every joint at 0 rad, and turn each joint "
            "in its positive direction. SERVOS is feetech:PORT or dynamixel:PORT. Ctrl-C ends it "
            "and writes nothing.",
    .example = "colonnade calibrate feetech:/dev/ttyUSB0 --arm scenes/so101.yaml --out arm.yaml",
    .positional = names,
};

enum {
    POLL_MS = 20,       /* between two readings */
    TRAVEL_STEPS = 200, /* 18 degrees: less is no joint moved to both ends */
    TURN_STEPS = 60,    /* 5 degrees: less may be the hand that trembles */
    SPARE_STEPS = 20,   /* 2 degrees off each end */
};

typedef struct calibrate_options {
    const char *plant, *arm, *out, *ids;
    bool json;
} calibrate_options;

/* What the servos have told so far, in steps. */
typedef struct survey {
    cn_limp *limp;
    cn_plant_info info;
    const atomic_bool *stop;
    bool begun; /* now, low and high are valid */
    int now[CN_MAX_JOINTS], low[CN_MAX_JOINTS], high[CN_MAX_JOINTS];
    cn_calibration found;
} survey;

/* ---- Reading while somebody moves the arm ---- */

static cn_status take_reading(survey *s, cn_error *err)
{
    int steps[CN_MAX_JOINTS];
    CN_TRY(cn_limp_read(s->limp, steps, err));
    for (int j = 0; j < s->info.joints; j++) {
        const char *name = s->info.joint[j].name;
        CN_FAIL_IF(steps[j] < 0 || steps[j] >= CN_SERVO_STEPS, CN_ERR_MISMATCH, err,
                   "joint '%s' stands at %d steps, outside the turn from 0 to %d: mend the homing "
                   "offset of servo %d",
                   name, steps[j], CN_SERVO_STEPS - 1, s->found.joint[j].id);
        CN_FAIL_IF(s->begun && abs(steps[j] - s->now[j]) > CN_SERVO_STEPS / 2, CN_ERR_MISMATCH, err,
                   "joint '%s' went over the end of its servo's turn, from %d to %d steps: put the "
                   "middle of its travel near %d (homing offset of servo %d) and begin again",
                   name, s->now[j], steps[j], CN_SERVO_STEPS / 2, s->found.joint[j].id);
        s->low[j] = s->begun && s->low[j] < steps[j] ? s->low[j] : steps[j];
        s->high[j] = s->begun && s->high[j] > steps[j] ? s->high[j] : steps[j];
        s->now[j] = steps[j];
    }
    s->begun = true;
    return CN_OK;
}

static void show(const survey *s)
{
    char lines[CLI_BLOCK_LINES][CLI_BLOCK_WIDTH];
    int n = 1;
    if (!cli_terminal())
        return;
    snprintf(lines[0], sizeof lines[0], "%-20s %6s %6s %6s", "steps", "lowest", "now", "highest");
    for (int j = 0; j < s->info.joints && n < CLI_BLOCK_LINES; j++)
        snprintf(lines[n++], sizeof lines[0], "%-20s %6d %6d %6d", s->info.joint[j].name, s->low[j],
                 s->now[j], s->high[j]);
    cli_block(lines, n);
}

/* Whether a whole line has come in. */
static cn_status take_line(bool *whole, cn_error *err)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    char c;
    *whole = false;
    if (poll(&in, 1, POLL_MS) <= 0)
        return CN_OK;
    const ssize_t got = read(STDIN_FILENO, &c, 1);
    CN_FAIL_IF(got == 0, CN_ERR_CANCELLED, err,
               "the input has ended before the calibration: nothing was written");
    *whole = got == 1 && c == '\n';
    return CN_OK;
}

/* Reads the servos until somebody presses Enter, and once more then. */
static cn_status wait_for_enter(survey *s, cn_error *err)
{
    bool pressed = false;
    printf(" Then Enter.\n");
    fflush(stdout);
    while (!pressed) {
        CN_FAIL_IF(atomic_load(s->stop), CN_ERR_CANCELLED, err, "stopped: nothing was written");
        CN_TRY(take_reading(s, err));
        show(s);
        CN_TRY(take_line(&pressed, err));
    }
    cli_progress_end();
    return take_reading(s, err);
}

/* ---- The dialogue ---- */

/* The first joint that has not been moved to both ends; the number of joints: all have. */
static int unmoved(const survey *s)
{
    int j = 0;
    while (j < s->info.joints && s->high[j] - s->low[j] >= TRAVEL_STEPS)
        j++;
    return j;
}

static cn_status find_ranges(survey *s, cn_error *err)
{
    printf("1 of 3: move every joint to both of its ends, in any order.");
    CN_TRY(wait_for_enter(s, err));
    for (int j; (j = unmoved(s)) < s->info.joints;) {
        printf("'%s' has moved by %d steps only: to both of its ends.", s->info.joint[j].name,
               s->high[j] - s->low[j]);
        CN_TRY(wait_for_enter(s, err));
    }
    return CN_OK;
}

static cn_status find_zeros(survey *s, cn_error *err)
{
    printf("2 of 3: hold the arm where its model has every joint at 0 rad.");
    CN_TRY(wait_for_enter(s, err));
    for (int j = 0; j < s->info.joints; j++)
        s->found.joint[j].zero = s->now[j];
    return CN_OK;
}

static cn_status find_directions(survey *s, cn_error *err)
{
    printf("3 of 3: joint by joint.\n");
    for (int j = 0; j < s->info.joints; j++) {
        int turned = 0;
        while (abs(turned) < TURN_STEPS) {
            const int before = s->now[j];
            printf("Turn '%s' in its positive direction, %d degrees or more.",
                   s->info.joint[j].name, TURN_STEPS * 360 / CN_SERVO_STEPS + 1);
            CN_TRY(wait_for_enter(s, err));
            turned = s->now[j] - before;
        }
        s->found.joint[j].direction = turned > 0 ? 1 : -1;
    }
    return CN_OK;
}

static cn_status ask(survey *s, cn_error *err)
{
    printf("Hold the arm: it goes limp.");
    CN_TRY(wait_for_enter(s, err));
    CN_TRY(cn_limp_relax(s->limp, err));
    s->begun = false; /* it may have been held beyond where it can go by hand */
    CN_TRY(take_reading(s, err));
    CN_TRY(find_ranges(s, err));
    CN_TRY(find_zeros(s, err));
    CN_TRY(find_directions(s, err));
    for (int j = 0; j < s->info.joints; j++) {
        s->found.joint[j].low = s->low[j] + SPARE_STEPS;
        s->found.joint[j].high = s->high[j] - SPARE_STEPS;
    }
    return CN_OK;
}

/* ---- The command ---- */

/* What would be noticed only at the end. */
static cn_status check_arm(const survey *s, cn_error *err)
{
    for (int j = 0; j < s->info.joints; j++) {
        const cn_arm_joint *joint = &s->info.joint[j];
        CN_FAIL_IF(strcmp(joint->unit, "rad") != 0, CN_ERR_MISMATCH, err,
                   "joint '%s' slides (%s): a servo turns", joint->name, joint->unit);
        CN_FAIL_IF(joint->position_low > 0 || joint->position_high < 0, CN_ERR_MISMATCH, err,
                   "joint '%s' goes from %.3g to %.3g rad, and nobody can hold it at 0: write the "
                   "calibration by hand",
                   joint->name, joint->position_low, joint->position_high);
        for (int i = 0; i < j; i++)
            CN_FAIL_IF(s->found.joint[i].id == s->found.joint[j].id, CN_ERR_ARGUMENT, err,
                       "--ids gives servo %d to '%s' and to '%s'", s->found.joint[j].id,
                       s->info.joint[i].name, joint->name);
    }
    return CN_OK;
}

/* That a file can be made there. */
static cn_status check_folder(const char *path, cn_error *err)
{
    cn_file file;
    CN_TRY(cn_file_begin(path, &file, err));
    cn_file_abandon(&file);
    return CN_OK;
}

/* @param text  "1,2,3", or NULL: 1, 2, 3 and so on */
static cn_status parse_ids(const char *text, survey *s, uint8_t *id, cn_error *err)
{
    const char *at = text;
    for (int j = 0; j < s->info.joints; j++) {
        char *end = NULL;
        const long number = text ? strtol(at, &end, 10) : j + 1;
        const char stop = j + 1 < s->info.joints ? ',' : '\0';
        CN_FAIL_IF(text && (end == at || *end != stop || number < 0 || number > CN_SERVO_ID_MAX),
                   CN_ERR_ARGUMENT, err,
                   "--ids %s: expected %d numbers from 0 to %d, one for each joint, as in 1,2,3",
                   text, s->info.joints, CN_SERVO_ID_MAX);
        at = text ? end + 1 : NULL;
        id[j] = (uint8_t)number;
        s->found.joint[j].id = (int)number;
    }
    return CN_OK;
}

/* The file must be one that `colonnade robot` takes. */
static cn_status save(const survey *s, const char *path, cn_error *err)
{
    cn_plant_info narrowed = s->info;
    cn_calibration again;
    CN_TRY(cn_calibration_save(path, &s->info, &s->found, err));
    const cn_status status = cn_calibration_load(path, &narrowed, &again, err);
    if (status != CN_OK)
        unlink(path);
    return status;
}

static void report(const survey *s, const char *path, bool json)
{
    const double degrees = 360.0 / CN_SERVO_STEPS, per_rad = 57.29577951308232;
    printf("%-20s %5s %6s %10s %12s %12s\n", "joint", "servo", "zero", "direction", "travel",
           "the model's");
    for (int j = 0; j < s->info.joints; j++) {
        const cn_arm_joint *joint = &s->info.joint[j];
        printf("%-20s %5d %6d %10d %8.0f deg %8.0f deg\n", joint->name, s->found.joint[j].id,
               s->found.joint[j].zero, s->found.joint[j].direction,
               degrees * (s->high[j] - s->low[j]),
               per_rad * (joint->position_high - joint->position_low));
    }
    printf("calibration %s\n", path);
    if (json)
        cli_print_json(json_pack("{s:s, s:i}", "calibration", path, "joints", (int)s->info.joints));
}

static cn_status calibrate(const calibrate_options *o, cn_error *err)
{
    cn_status status = CN_OK;
    cn_task *task = NULL;
    survey s = {0};
    uint8_t id[CN_MAX_JOINTS];
    const char *port;
    const cn_servo_make *make = cli_servo_make(o->plant, &port);
    s.stop = cli_stop();
    CN_FAIL_IF(access(o->out, F_OK) == 0, CN_ERR_IO, err,
               "%s is there already: move it away, or name another file with --out", o->out);
    CN_TRY(check_folder(o->out, err));
    CN_TRY_CLEANUP(cn_task_load(o->arm, &task, err));
    cli_plant_info(task, &s.info);
    s.found.joints = s.info.joints;
    CN_TRY_CLEANUP(parse_ids(o->ids, &s, id, err));
    CN_TRY_CLEANUP(check_arm(&s, err));
    CN_TRY_CLEANUP(cn_limp_open(make, port, id, s.info.joints, &s.limp, err));
    CN_TRY_CLEANUP(ask(&s, err));
    CN_TRY_CLEANUP(save(&s, o->out, err));
    report(&s, o->out, o->json);
cleanup:
    cn_limp_close(&s.limp);
    cn_task_destroy(&task);
    return status;
}

int cli_calibrate(int argc, char **argv)
{
    calibrate_options o = {0};
    const cli_option options[] = {
        {"arm", "TASK", "the task whose model the arm is", CLI_TEXT, &o.arm, 0, 0},
        {"out", "FILE", "the calibration to write; it must not be there yet", CLI_TEXT, &o.out, 0,
         0},
        {"ids", "LIST", "servos of the task's joints (default 1,2,3 and so on)", CLI_TEXT, &o.ids,
         0, 0},
        {"json", NULL, "end with one line of JSON", CLI_FLAG, &o.json, 0, 0},
        {0},
    };
    const int status = cli_parse(&usage, options, argc, argv, &o.plant);
    if (status >= 0)
        return status;
    if (!cli_is_servo_address(o.plant))
        return cli_wrong(&usage, "'%s' is not feetech:PORT or dynamixel:PORT", o.plant);
    if (!o.arm || !o.out)
        return cli_wrong(&usage, "--%s is missing: %s", o.arm ? "out" : "arm",
                         o.arm ? "which file to write?" : "which task is the arm's?");
    cn_error err = {0};
    return calibrate(&o, &err) == CN_OK ? CLI_DONE : cli_fail(&err);
}
