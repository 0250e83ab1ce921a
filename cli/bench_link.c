/* colonnade bench link: what the bridge costs on the way from a sensor frame to the command that
 * answers it, and what the log adds. This process is the robot and measures; a second one, forked
 * before any socket is opened, is the controller. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/realtime.h"
#include "bridge/control.h"
#include "bridge/endpoint.h"
#include "bridge/gate.h"
#include "cli/bench.h"
#include "cli/bench_exchange.h"
#include "policy/agent.h"

#define WIDTH   256       /* units of each hidden layer */
#define MOST    (1 << 20) /* exchanges of a block; more are not kept */
#define WAIT_MS 10000     /* for the controller to say how a block went */

static const char *const names[] = {NULL};
static const cli_usage usage = {
    .synopsis = "colonnade bench link [options]",
    .text = "Frame in, command out, seen from the robot: from a sensor frame that is handed over "
            "until the command that answers it has passed gate and safety filter. The controller "
            "is another process, which does what `colonnade control` does, with two columns of 256 "
            "units. In turn with it: bare ZeroMQ sockets of the same kinds that carry as many "
            "bytes; and the same with a log. The arm would follow at its servo's next tick: that "
            "wait is not in these figures.",
    .example = "colonnade bench link --rate 1000 --seconds 2",
    .positional = names,
};

enum { RAW, OURS, LOGGED, SIDES };
enum { P50, P99, QUANTILES };
static const double quantiles[QUANTILES] = {0.5, 0.99};

/* Endpoints: state and request socket, of the bridge and of the bare sockets. */
enum { STATE, REQUESTS, RAW_STATE, RAW_REQUESTS, ENDPOINTS };

/* How a block went at the controller's end. */
typedef struct outcome {
    cn_status status;
    cn_error failure;
    uint64_t dropped; /* messages that the log lost */
} outcome;

typedef struct bench {
    double rate;
    cli_rounds rounds;
    char folder[32];
    char endpoint[ENDPOINTS][CN_WIRE_ENDPOINT];
    cli_place place;
    cn_policy *policy;

    /* Of the robot. */
    cn_plant *twin;
    cli_timed_plant plant;
    cn_server *server;
    cli_echo echo;
    int frame_bytes, command_bytes; /* of the bridge's messages; the bare ones have as many */
    cli_exchanges exchanges;        /* of the block that runs */
    pid_t controller;
    int orders, outcomes; /* pipes */
    uint64_t dropped, lost, count;
    cli_sample time[SIDES][QUANTILES];  /* s, of each round */
    cli_sample ratio[SIDES][QUANTILES]; /* OURS: to raw; LOGGED: to ours */
} bench;

enum { LOG_PATH = 64 };

static const char *name_log(const bench *b, char path[LOG_PATH])
{
    snprintf(path, LOG_PATH, "%s/log.mcap", b->folder);
    return path;
}

/* ---- The controller ---- */

typedef struct controller {
    const bench *b;
    cn_link *link;
    const cn_robot_observer *observer;
    cn_agent *agent;
    cn_control_report report;
    cli_echo echo;
} controller;

static cn_status open_log(const controller *c, const char *path, cn_log **out, cn_error *err)
{
    const cn_log_about about =
        cli_log_about(c->b->place.task, cn_link_info(c->link), c->b->endpoint[STATE]);
    return cn_log_create(path, &about, out, err);
}

static cn_status control(controller *c, bool logged, uint64_t *dropped, cn_error *err)
{
    cn_log *log = NULL;
    char path[LOG_PATH];
    name_log(c->b, path);
    if (logged)
        CN_TRY(open_log(c, path, &log, err));
    const cn_control_config config = {
        .seconds = c->b->rounds.seconds,
        .seed = 1,
        .act = cn_agent_act,
        .policy = c->agent,
        .log = log,
        .stop = cli_stop(),
    };
    cn_status status = cn_control_run(c->link, c->observer, &config, &c->report, err);
    if (logged) {
        *dropped = cn_log_dropped(log);
        const cn_status finished = cn_log_finish(&log, status == CN_OK ? err : NULL);
        status = status == CN_OK ? finished : status;
        unlink(path);
    }
    CN_TRY(status);
    CN_FAIL_IF(c->report.end != CN_CONTROL_TIME && !atomic_load(cli_stop()), CN_ERR_SAFETY, err,
               "the control loop was stopped by %s", cn_control_end_words(c->report.end));
    return CN_OK;
}

static cn_status connect_controller(controller *c, cn_error *err)
{
    const bench *b = c->b;
    cn_realtime_begin(NULL); /* as `control` does; the robot's process says if it may not */
    CN_TRY(cn_link_connect(b->endpoint[STATE], NULL, WAIT_MS, &c->link, err));
    CN_TRY(cli_echo_open(false, b->endpoint[RAW_STATE], b->endpoint[RAW_REQUESTS], &c->echo, err));
    CN_TRY(cn_agent_create(b->policy, 1, 1, CN_AGENT_ACTOR, &c->agent, err));
    cn_realtime_lock(NULL);
    return CN_OK;
}

/* Follows orders until there are no more. @return the exit status of the process */
static int run_controller(const bench *b, const cn_robot_observer *observer, int orders,
                          int outcomes)
{
    controller c = {.b = b, .observer = observer};
    outcome o = {0};
    int side;
    o.status = connect_controller(&c, &o.failure);
    while (read(orders, &side, sizeof side) == sizeof side) {
        if (o.status == CN_OK)
            o.status = side == RAW ? cli_echo_answer(&c.echo, &o.failure)
                                   : control(&c, side == LOGGED, &o.dropped, &o.failure);
        if (write(outcomes, &o, sizeof o) != sizeof o || o.status != CN_OK)
            break;
    }
    cn_agent_destroy(&c.agent);
    cli_echo_close(&c.echo);
    cn_link_destroy(&c.link);
    return o.status == CN_OK ? CLI_DONE : CLI_FAILED;
}

static cn_status start_controller(bench *b, cn_error *err)
{
    int orders[2], outcomes[2];
    const cn_robot_observer *observer;
    CN_TRY(cli_place_watcher(&b->place, &observer, err));
    CN_FAIL_IF(pipe(orders) != 0 || pipe(outcomes) != 0, CN_ERR_IO, err, "no pipes: %s",
               strerror(errno));
    signal(SIGPIPE, SIG_IGN); /* a controller that dies is told by what it does not say */
    cli_stop();
    fflush(stdout);
    b->controller = fork();
    CN_FAIL_IF(b->controller < 0, CN_ERR_IO, err, "no second process: %s", strerror(errno));
    if (b->controller == 0) {
        close(orders[1]);
        close(outcomes[0]);
        _exit(run_controller(b, observer, orders[0], outcomes[1]));
    }
    close(orders[0]);
    close(outcomes[1]);
    b->orders = orders[1];
    b->outcomes = outcomes[0];
    return CN_OK;
}

/* After a failure nobody waits until it has noticed. */
static void stop_controller(bench *b, bool failed)
{
    if (b->controller <= 0)
        return;
    if (failed)
        kill(b->controller, SIGKILL);
    close(b->orders);
    waitpid(b->controller, NULL, 0);
    close(b->outcomes);
}

/* ---- The robot ---- */

/* Why the controller failed says more than that it fell silent. */
static cn_status hear_outcome(bench *b, cn_status ours, cn_error *err)
{
    outcome o;
    struct pollfd answer = {.fd = b->outcomes, .events = POLLIN};
    const bool any = poll(&answer, 1, ours == CN_OK ? WAIT_MS : 1000) > 0 &&
                     read(b->outcomes, &o, sizeof o) == sizeof o;
    CN_FAIL_IF(any && o.status != CN_OK, o.status, err, "%s", o.failure.message);
    CN_TRY(ours);
    CN_FAIL_IF(!any, CN_ERR_IO, err, "the controller's process ended, or hangs");
    b->dropped = o.dropped > b->dropped ? o.dropped : b->dropped;
    return CN_OK;
}

static cn_status run_block(bench *b, int side, cn_error *err)
{
    CN_FAIL_IF(write(b->orders, &side, sizeof side) != sizeof side, CN_ERR_IO, err,
               "the controller's process ended");
    const cn_status status =
        side == RAW
            ? cli_exchange_bare(&b->echo, b->frame_bytes, b->command_bytes, b->rate,
                                b->rounds.seconds, &b->exchanges, err)
            : cli_exchange_served(b->server, &b->plant, b->rate, b->outcomes, &b->exchanges, err);
    return hear_outcome(b, status, err);
}

static cn_status run_round(bench *b, cn_error *err)
{
    double spent[SIDES][QUANTILES];
    for (int side = 0; side < SIDES; side++) {
        CN_TRY(run_block(b, side, err));
        CN_FAIL_IF(b->exchanges.count == 0, CN_ERR_TIMEOUT, err,
                   "no command came in a block of %g s: give more --seconds", b->rounds.seconds);
        b->lost += (uint64_t)b->exchanges.lost;
        b->count += side == OURS ? (uint64_t)b->exchanges.count : 0;
        for (int q = 0; q < QUANTILES; q++) {
            spent[side][q] = cli_exchanges_quantile(&b->exchanges, quantiles[q]);
            cli_sample_add(&b->time[side][q], spent[side][q]);
            if (side > RAW)
                cli_sample_add(&b->ratio[side][q], spent[side][q] / spent[side - 1][q]);
        }
    }
    cli_progress(false, "round %d of %d: raw %.0f us, ours %.0f us, logged %.0f us",
                 b->time[RAW][P50].count, (int)b->rounds.rounds, 1e6 * spent[RAW][P50],
                 1e6 * spent[OURS][P50], 1e6 * spent[LOGGED][P50]);
    return CN_OK;
}

static cn_status run_rounds(bench *b, cn_error *err)
{
    CN_TRY(run_block(b, OURS, err)); /* warms up; its first frame may miss the subscription */
    for (int i = 0; i < b->rounds.rounds; i++)
        CN_TRY(run_round(b, err));
    cli_progress_end();
    return CN_OK;
}

/* ---- Preparation ---- */

/* ENDPOINT and three beside it: further ports of tcp, longer paths of ipc. */
static cn_status name_endpoints(bench *b, const char *endpoint, cn_error *err)
{
    static const char *const suffix[ENDPOINTS] = {"", CN_ENDPOINT_REQUEST, ".r", ".r.request"};
    char own[sizeof b->folder + 16];
    snprintf(own, sizeof own, "ipc://%s/arm", b->folder);
    if (!endpoint)
        endpoint = own;
    CN_TRY(cn_endpoint_check(endpoint, false, err));
    CN_FAIL_IF(!cn_endpoint_is_local(endpoint), CN_ERR_ARGUMENT, err,
               "%s: both sides are on this machine: give ipc or tcp://127.0.0.1:PORT", endpoint);
    const int host = (int)(strrchr(endpoint, ':') - endpoint);
    for (int i = 0; i < ENDPOINTS; i++) {
        if (cn_endpoint_is_ipc(endpoint))
            snprintf(b->endpoint[i], CN_WIRE_ENDPOINT, "%s%s", endpoint, suffix[i]);
        else
            snprintf(b->endpoint[i], CN_WIRE_ENDPOINT, "%.*s:%d", host, endpoint,
                     cn_endpoint_port(endpoint) + i);
    }
    return CN_OK;
}

/* A policy of two columns that has learned nothing: it acts as fast as any. */
static cn_status make_policy(bench *b, cn_error *err)
{
    const cli_learning options = cli_learning_default();
    cn_train_config config = cn_train_config_default();
    cn_rng rng = cn_rng_make(1, 0);
    config.layers = 2;
    config.hidden[0] = config.hidden[1] = WIDTH;
    const cn_policy_column column = cli_learning_column(&options, &config, b->place.task, "bench");
    CN_TRY(cn_policy_create(cn_task_spec(b->place.task), &b->policy, err));
    CN_TRY(cn_policy_grow(b->policy, &column, CN_GROW_RANDOM, &rng, err));
    cn_policy_freeze(b->policy, 0);
    return cn_policy_grow(b->policy, &column, CN_GROW_RANDOM, &rng, err);
}

/* The messages of the bridge, as they are in the middle of a block. */
static cn_status measure_sizes(bench *b, cn_error *err)
{
    uint8_t frame[CN_WIRE_STATE_MAX], request[CN_WIRE_REQUEST_MAX];
    const float action[CN_MAX_ACTIONS] = {0};
    const int64_t valid_for_ns = (int64_t)(2.5e9 * cn_task_spec(b->place.task)->control_period_s);
    cn_wire_command command = {
        .sequence = 5000, .answers_frame = 5000, .valid_for_ns = valid_for_ns};
    const cn_robot_observer *observer;
    CN_TRY(cli_place_watcher(&b->place, &observer, err));
    observer->command(observer->self, action, &command.command);
    const cn_wire_request r = {.protocol_version = CN_PROTOCOL_VERSION,
                               .id = 5000,
                               .lease = cn_gate_token(),
                               .kind = CN_WIRE_COMMAND,
                               .command = command};
    cn_wire_frame f = {.sequence = 5000,
                       .resets = 100,
                       .applied = command,
                       .mode = CN_WIRE_ACTIVE,
                       .commands_applied = 5000};
    CN_TRY(b->twin->read(b->twin, &f.state, err));
    b->frame_bytes = (int)cn_wire_pack_frame(&f, &b->twin->info, frame);
    b->command_bytes = (int)cn_wire_pack_request(&r, request);
    return CN_OK;
}

static cn_status prepare(bench *b, const char *task, const char *endpoint, cn_error *err)
{
    CN_TRY(cli_place_open(NULL, task, NULL, NULL, &b->place, err));
    CN_TRY(make_policy(b, err));
    CN_FAIL_IF(!mkdtemp(b->folder), CN_ERR_IO, err, "cannot make a folder in /tmp");
    CN_TRY(name_endpoints(b, endpoint, err));
    b->exchanges.most = MOST;
    b->exchanges.ns = calloc(MOST, sizeof *b->exchanges.ns);
    CN_FAIL_IF(!b->exchanges.ns, CN_ERR_MEMORY, err, "no memory for %d exchanges", MOST);
    CN_TRY(start_controller(b, err));
    cli_realtime_begin();
    CN_TRY(cli_twin_plant(b->place.task, NULL, NULL, &b->twin, err));
    cli_timed_plant_init(&b->plant, b->twin);
    CN_TRY(measure_sizes(b, err));
    const cn_server_config config = {.endpoint = b->endpoint[STATE]};
    CN_TRY(cn_server_create(&config, &b->plant.plant, &b->server, err));
    CN_TRY(cn_server_begin(b->server, err));
    CN_TRY(cli_echo_open(true, b->endpoint[RAW_STATE], b->endpoint[RAW_REQUESTS], &b->echo, err));
    cn_realtime_lead(); /* as `robot` does */
    cli_realtime_lock();
    return CN_OK;
}

static void destroy(bench *b, bool failed)
{
    char log[LOG_PATH];
    stop_controller(b, failed);
    cn_server_destroy(&b->server);
    cli_echo_close(&b->echo);
    for (int i = 0; i < ENDPOINTS; i++)
        cn_endpoint_remove(b->endpoint[i]);
    unlink(name_log(b, log));
    rmdir(b->folder);
    cn_plant_destroy(&b->twin);
    free(b->exchanges.ns);
    cn_policy_destroy(&b->policy);
    cli_place_close(&b->place);
}

/* ---- Report ---- */

static void print_row(const bench *b, int side, const char *what)
{
    printf("  %-28s", what);
    for (int q = 0; q < QUANTILES; q++) {
        const cli_sample *ratio = &b->ratio[side][q];
        printf(" %9.1f us", 1e6 * cli_sample_median(&b->time[side][q]));
        if (side == RAW)
            printf("%24s", "");
        else
            printf("  %.2f x (%.2f to %.2f)", cli_sample_median(ratio), cli_sample_low(ratio),
                   cli_sample_high(ratio));
    }
    printf("\n");
}

static json_t *times_json(const bench *b, int side)
{
    return json_pack("{s:f, s:f}", "p50", 1e6 * cli_sample_median(&b->time[side][P50]), "p99",
                     1e6 * cli_sample_median(&b->time[side][P99]));
}

static void report(const bench *b, bool json)
{
    char raw[64], pace[48] = "one after the other";
    snprintf(raw, sizeof raw, "ZeroMQ, %d and %d bytes", b->frame_bytes, b->command_bytes);
    if (b->rate > 0)
        snprintf(pace, sizeof pace, "%g frames/s", b->rate);
    printf("%s, two columns of %d units, %s, %s; medians of %d rounds, %d exchanges each\n",
           cn_task_spec(b->place.task)->task, WIDTH, b->endpoint[STATE], pace,
           b->time[OURS][P50].count, (int)(b->count / (uint64_t)b->time[OURS][P50].count));
    printf("  %-28s %12s%24s %12s\n", "frame to command", "p50   ", "", "p99   ");
    print_row(b, RAW, raw);
    print_row(b, OURS, "the bridge, by ZeroMQ");
    print_row(b, LOGGED, "with a log, by without");
    printf("  the wait for the next tick of a servo, which moves the arm, is not in it\n");
    if (b->lost + b->dropped > 0)
        printf("  %llu frames had no answer in time; the log lost %llu messages\n",
               (unsigned long long)b->lost, (unsigned long long)b->dropped);
    if (json)
        cli_print_json(
            json_pack("{s:o, s:o, s:f, s:f, s:o, s:f, s:f, s:i, s:i, s:f, s:I, s:I, s:I, s:i}",
                      "raw_us", times_json(b, RAW), "ours_us", times_json(b, OURS), "p50_ratio",
                      cli_sample_median(&b->ratio[OURS][P50]), "p99_ratio",
                      cli_sample_median(&b->ratio[OURS][P99]), "logged_us", times_json(b, LOGGED),
                      "log_p50_ratio", cli_sample_median(&b->ratio[LOGGED][P50]), "log_p99_ratio",
                      cli_sample_median(&b->ratio[LOGGED][P99]), "frame_bytes", b->frame_bytes,
                      "command_bytes", b->command_bytes, "rate_hz", b->rate, "exchanges",
                      (json_int_t)b->count, "lost", (json_int_t)b->lost, "log_dropped",
                      (json_int_t)b->dropped, "rounds", b->time[OURS][P50].count));
}

int cli_bench_link(int argc, char **argv)
{
    bench b = {.rounds = cli_rounds_default(), .folder = "/tmp/colonnade-bench-XXXXXX"};
    const char *task = "scenes/reach.yaml", *endpoint = NULL;
    bool json = false;
    const cli_option options[] = {
        {"rate", "HZ", "frames a second (default 0: at once, one after the other)", CLI_REAL,
         &b.rate, 0, 1e5},
        {"task", "TASK", "whose arm (default scenes/reach.yaml)", CLI_TEXT, &task, 0, 0},
        {"endpoint", "ENDPOINT", "ipc (default: one of its own) or tcp, which takes four ports",
         CLI_TEXT, &endpoint, 0, 0},
        CLI_ROUNDS_OPTIONS(&b.rounds),
        {"json", NULL, "end with one line of JSON", CLI_FLAG, &json, 0, 0},
        {0},
    };
    const int wrong = cli_parse(&usage, options, argc, argv, NULL);
    if (wrong >= 0)
        return wrong;
    cn_error err = {0};
    cn_status status = prepare(&b, task, endpoint, &err);
    if (status == CN_OK)
        status = run_rounds(&b, &err);
    if (status == CN_OK)
        report(&b, json);
    destroy(&b, status != CN_OK);
    return status == CN_OK ? CLI_DONE : cli_fail(&err);
}
