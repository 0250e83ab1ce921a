/* An emulated servo bus for tests of what is above the codecs: servo_bus.py as a process beside the
 * test, and the plant of a three-joint arm on it. */
#ifndef CN_TESTS_BRIDGE_PLANTS_SERVOS_H
#define CN_TESTS_BRIDGE_PLANTS_SERVOS_H

#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "bridge/plants/calibration.h"
#include "tests/folder.h"
#include "tests/test.h"

/* The servo period of the test's arm is 40 ms: the emulator is a process on a busy machine. */
#define SERVOS_CALIBRATION                                                                         \
    "joints:\n"                                                                                    \
    "  base: {id: 1, zero: 2048, direction: 1, range: [100, 4000]}\n"                              \
    "  elbow: {id: 2, zero: 2000, direction: -1, range: [1000, 3000]}\n"                           \
    "  wrist: {id: 7, zero: 2048, direction: 1, range: [0, 4095]}\n"                               \
    "rate: 25\n"
#define SERVOS_PERIOD_S 0.2 /* of control */

typedef struct servos {
    pid_t process;
    FILE *orders, *answers;
    char port[64];
    char answer[128];
} servos;

static inline void servos_start(servos *s, const char *make)
{
    int orders[2], answers[2];
    CU_ASSERT_EQUAL_FATAL(pipe(orders), 0);
    CU_ASSERT_EQUAL_FATAL(pipe(answers), 0);
    s->process = fork();
    if (s->process == 0) {
        dup2(orders[0], STDIN_FILENO);
        dup2(answers[1], STDOUT_FILENO);
        close(orders[0]);
        close(orders[1]);
        close(answers[0]);
        close(answers[1]);
        execl(CN_PYTHON, CN_PYTHON, CN_SOURCE_DIR "/tests/bridge/plants/servo_bus.py", make, "1",
              "2", "7", (char *)NULL);
        _exit(127);
    }
    close(orders[0]);
    close(answers[1]);
    s->orders = fdopen(orders[1], "w");
    s->answers = fdopen(answers[0], "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(s->orders);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s->answers);
    CU_ASSERT_PTR_NOT_NULL_FATAL(fgets(s->port, sizeof s->port, s->answers));
    s->port[strcspn(s->port, "\n")] = '\0';
}

/* Gives an order to the emulator; its answer is in s->answer. */
static inline const char *servos_tell(servos *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(s->orders, format, args);
    va_end(args);
    fputc('\n', s->orders);
    fflush(s->orders);
    CU_ASSERT_PTR_NOT_NULL_FATAL(fgets(s->answer, sizeof s->answer, s->answers));
    s->answer[strcspn(s->answer, "\n")] = '\0';
    return s->answer;
}

static inline long servos_get(servos *s, int id, int address, int bytes)
{
    return strtol(servos_tell(s, "get %d %d %d", id, address, bytes), NULL, 10);
}

static inline void servos_end(servos *s)
{
    int status = -1;
    fclose(s->orders);
    CU_ASSERT_EQUAL(waitpid(s->process, &status, 0), s->process);
    CU_ASSERT_EQUAL(status, 0);
    fclose(s->answers);
}

static inline cn_plant_info servos_info(void)
{
    return (cn_plant_info){
        .arm = "test",
        .joints = 3,
        .joint = {{"base", "rad", -2, 2, 1.5, 30, 3000, 2},
                  {"elbow", "rad", -INFINITY, INFINITY, 3, 60, 6000, INFINITY},
                  {"wrist", "rad", -1, 1, 3, 60, 6000, 1}},
        .control_period_s = SERVOS_PERIOD_S,
    };
}

static inline void servos_calibrate(const char *text, cn_plant_info *info, cn_calibration *out)
{
    cn_error err = {0};
    const test_folder folder = folder_create();
    const char *path = folder_path(&folder, "calibration.yaml");
    *info = servos_info();
    file_write(path, text);
    CN_ASSERT_OK(cn_calibration_load(path, info, out, &err));
    folder_destroy(&folder);
}

typedef cn_status servos_driver(const char *port, const cn_plant_info *info,
                                const cn_calibration *calibration, cn_plant **out, cn_error *err);

static inline cn_plant *servos_arm(servos *s, servos_driver *create)
{
    cn_error err = {0};
    cn_plant_info info;
    cn_calibration calibration;
    cn_plant *plant = NULL;
    servos_calibrate(SERVOS_CALIBRATION, &info, &calibration);
    CN_ASSERT_OK(create(s->port, &info, &calibration, &plant, &err));
    return plant;
}

static inline cn_arm_command servos_command(cn_command_mode mode, double a, double b, double c)
{
    return (cn_arm_command){.mode = mode, .joints = 3, .target = {a, b, c}};
}

/* Commands so many servo periods, in their rhythm. @return the first failure */
static inline cn_status servos_run(cn_plant *plant, const cn_arm_command *command, int periods,
                                   cn_error *err)
{
    int64_t deadline = cn_clock_now();
    for (int i = 0; i < periods; i++) {
        CN_TRY(plant->command(plant, command, err));
        deadline += (int64_t)(1e9 / plant->info.servo_rate_hz);
        cn_clock_sleep_until(deadline);
    }
    return CN_OK;
}

/* Commands until the plant's reading fails, or until it has not for too long. */
static inline cn_status servos_run_to_failure(cn_plant *plant, const cn_arm_command *command,
                                              cn_error *err)
{
    cn_status status = CN_OK;
    cn_arm_state state;
    for (int i = 0; i < 200 && status == CN_OK; i++) {
        status = servos_run(plant, command, 1, err);
        if (status == CN_OK)
            status = plant->read(plant, &state, err);
    }
    return status;
}

/* Commands until a joint is measured near a position. */
static inline bool servos_reach(cn_plant *plant, const cn_arm_command *command, int joint,
                                double position)
{
    cn_error err = {0};
    cn_arm_state state = {0};
    for (int i = 0; i < 200; i++) {
        CN_ASSERT_OK(servos_run(plant, command, 1, &err));
        CN_ASSERT_OK(plant->read(plant, &state, &err));
        if (fabs(state.position[joint] - position) < 1.5 * CN_SERVO_RAD_PER_STEP)
            return true;
    }
    printf("\n    joint %d is at %g, not at %g\n", joint, state.position[joint], position);
    return false;
}

#endif
