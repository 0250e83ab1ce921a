/* Policy files: the same bits come back, a changed frozen column doesn't pass, damage is refused.
 */
#include "policy/agent.h"
#include "tensor/safetensors.h"
#include "tests/folder.h"
#include "tests/policy/point.h"

static cn_error err;
static test_folder folder;

static cn_policy *three_columns(void)
{
    cn_policy *policy = point_policy(3, CN_LATERAL_ADAPTER, CN_GROW_IDENTITY);
    cn_policy_column_at(policy, 1)->steps = 123456789012;
    return policy;
}

/* ---- Round trip ---- */

static bool same_column(const cn_policy_column *a, const cn_policy_column *b)
{
    return a->groups == b->groups && memcmp(a->group, b->group, sizeof a->group) == 0 &&
           a->input_size == b->input_size && a->layers == b->layers &&
           memcmp(a->hidden, b->hidden, (size_t)a->layers * sizeof a->hidden[0]) == 0 &&
           a->bound == b->bound && a->state_std == b->state_std && a->activation == b->activation &&
           a->lateral == b->lateral && a->adapter_size == b->adapter_size &&
           a->adapter_scale == b->adapter_scale && a->frozen == b->frozen &&
           a->checksum == b->checksum && strcmp(a->task, b->task) == 0 &&
           strcmp(a->task_file, b->task_file) == 0 && strcmp(a->method, b->method) == 0 &&
           a->seed == b->seed && a->steps == b->steps && strcmp(a->ended, b->ended) == 0;
}

static void check_same_policy(cn_policy *a, cn_policy *b)
{
    cn_params *p = cn_policy_params(a), *q = cn_policy_params(b);
    CU_ASSERT_EQUAL_FATAL(cn_policy_columns(a), cn_policy_columns(b));
    CU_ASSERT_EQUAL_FATAL(cn_params_count(p), cn_params_count(q));
    CU_ASSERT_EQUAL(
        memcmp(cn_params_values(p), cn_params_values(q), cn_params_count(p) * sizeof(float)), 0);
    CU_ASSERT_EQUAL(cn_params_trainable(p), cn_params_trainable(q));
    CU_ASSERT_EQUAL(cn_policy_checksum(a, -1), cn_policy_checksum(b, -1));
    CN_ASSERT_OK(cn_env_spec_match(cn_policy_spec(a), cn_policy_spec(b), &err));
    CU_ASSERT_STRING_EQUAL(cn_policy_spec(a)->task, cn_policy_spec(b)->task);
    CU_ASSERT_EQUAL(cn_policy_spec(a)->step_limit, cn_policy_spec(b)->step_limit);
    CU_ASSERT_EQUAL(cn_policy_spec(a)->control_period_s, cn_policy_spec(b)->control_period_s);
    for (int k = 0; k < cn_policy_columns(a); k++)
        CU_ASSERT_TRUE(same_column(cn_policy_column_at(a, k), cn_policy_column_at(b, k)));
}

static void check_same_actions(cn_policy *a, cn_policy *b)
{
    const int last = cn_policy_columns(a) - 1;
    cn_agent *one = NULL, *two = NULL;
    cn_rng rng = cn_rng_make(6, 0);
    CN_ASSERT_OK(cn_agent_create(a, last, 1, CN_AGENT_ACTOR, &one, &err));
    CN_ASSERT_OK(cn_agent_create(b, last, 1, CN_AGENT_ACTOR, &two, &err));
    for (int i = 0; i < 20; i++) {
        float x[4], y[2], z[2];
        for (int j = 0; j < 4; j++)
            x[j] = (float)cn_rng_normal(&rng);
        cn_agent_act(one, x, y);
        cn_agent_act(two, x, z);
        CU_ASSERT_EQUAL(memcmp(y, z, sizeof y), 0);
    }
    cn_agent_destroy(&one);
    cn_agent_destroy(&two);
}

static void test_round_trip_is_bit_exact(void)
{
    folder = folder_create();
    cn_policy *policy = three_columns(), *back = NULL;
    strcpy(cn_policy_column_at(policy, 1)->ended, "success reached");
    CN_ASSERT_OK(cn_policy_save(policy, folder_path(&folder, "a"), &err));
    CN_ASSERT_OK(cn_policy_load(folder_path(&folder, "a"), &back, &err));
    check_same_policy(policy, back);
    check_same_actions(policy, back);
    CN_ASSERT_OK(cn_policy_save(back, folder_path(&folder, "b"), &err));
    CU_ASSERT_TRUE(files_equal(folder_path(&folder, "a"), folder_path(&folder, "b")));
    CU_ASSERT_EQUAL(folder_entries(&folder), 2); /* no temporary file */
    cn_policy_destroy(&policy);
    cn_policy_destroy(&back);
    folder_destroy(&folder);
}

/* As SAC makes them: squashed, with a standard deviation that depends on the state. */
static cn_policy *squashed_columns(int columns)
{
    cn_policy *policy = point_policy(1, CN_LATERAL_LINEAR, CN_GROW_RANDOM);
    const cn_policy_column column = point_column(CN_LATERAL_LINEAR);
    cn_rng rng = cn_rng_make(13, 0);
    cn_policy_column_at(policy, 0)->bound = CN_BOUND_TANH;
    for (int k = 0; k < columns; k++) {
        CN_ASSERT_OK(cn_policy_add_state_std(policy, &err));
        point_disturb(policy, k, &rng);
        if (k == columns - 1)
            break;
        cn_policy_freeze(policy, k);
        CN_ASSERT_OK(cn_policy_grow(policy, &column, CN_GROW_IDENTITY, &rng, &err));
    }
    return policy;
}

static void test_squashed_columns_round_trip(void)
{
    folder = folder_create();
    cn_policy *policy = squashed_columns(2), *back = NULL;
    CN_ASSERT_OK(cn_policy_save(policy, folder_path(&folder, "a"), &err));
    CN_ASSERT_OK(cn_policy_load(folder_path(&folder, "a"), &back, &err));
    CU_ASSERT_EQUAL(cn_policy_column_at(back, 1)->bound, CN_BOUND_TANH);
    CU_ASSERT_TRUE(cn_policy_column_at(back, 1)->state_std);
    check_same_policy(policy, back);
    check_same_actions(policy, back);
    cn_policy_destroy(&policy);
    cn_policy_destroy(&back);
    folder_destroy(&folder);
}

/* A loaded policy grows on as the one that was saved would. */
static void test_a_loaded_policy_grows(void)
{
    folder = folder_create();
    cn_policy *policy[2] = {three_columns(), NULL};
    CN_ASSERT_OK(cn_policy_save(policy[0], folder_path(&folder, "a"), &err));
    CN_ASSERT_OK(cn_policy_load(folder_path(&folder, "a"), &policy[1], &err));
    for (int i = 0; i < 2; i++) {
        const cn_policy_column column = point_column(CN_LATERAL_LINEAR);
        cn_rng rng = cn_rng_make(21, 0);
        cn_policy_freeze(policy[i], 2);
        CN_ASSERT_OK(cn_policy_grow(policy[i], &column, CN_GROW_IDENTITY, &rng, &err));
    }
    check_same_policy(policy[0], policy[1]);
    cn_policy_destroy(&policy[0]);
    cn_policy_destroy(&policy[1]);
    folder_destroy(&folder);
}

/* ---- Saving ---- */

static void test_save_refuses_a_changed_frozen_column(void)
{
    folder = folder_create();
    cn_policy *policy = three_columns();
    const char *path = folder_path(&folder, "a"), *copy = folder_path(&folder, "b");
    CN_ASSERT_OK(cn_policy_save(policy, path, &err));
    CN_ASSERT_OK(cn_policy_save(policy, copy, &err));
    char words[96];
    const uint64_t before = cn_policy_checksum(policy, 0);
    *(unsigned char *)cn_params_slice(cn_policy_params(policy), 0) ^= 1;
    snprintf(words, sizeof words, "column 0 was frozen with checksum %016llx and is now %016llx",
             (unsigned long long)before, (unsigned long long)cn_policy_checksum(policy, 0));
    CN_ASSERT_FAILS(CN_ERR_CHECKSUM, words, cn_policy_save(policy, path, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "/a not written: "));
    CU_ASSERT_TRUE(files_equal(path, copy));
    CU_ASSERT_EQUAL(folder_entries(&folder), 2);
    cn_policy_destroy(&policy);
    folder_destroy(&folder);
}

static void test_save_where_nothing_can_be_written(void)
{
    folder = folder_create();
    cn_policy *policy = three_columns();
    CN_ASSERT_FAILS(CN_ERR_IO, "/no/a: cannot write: No such file or directory",
                    cn_policy_save(policy, folder_path(&folder, "no/a"), &err));
    cn_policy_destroy(&policy);
    folder_destroy(&folder);
}

/* ---- Damaged files ---- */

typedef struct damage {
    const char *find, *replace; /* in the metadata, first place; NULL: none */
    const char *tensor;         /* one that is changed; NULL: none */
    bool omit;                  /* leave it out; otherwise flip the lowest bit of its last byte */
    bool retype;                /* call it I32 */
} damage;

static char *replaced(const char *text, const char *find, const char *replace)
{
    const char *at = find ? strstr(text, find) : text;
    if (!at)
        printf("\n    not in the metadata: %s\n", find);
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    const size_t size = strlen(text) + (replace ? strlen(replace) : 0) + 1;
    char *out = malloc(size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    snprintf(out, size, "%.*s%s%s", (int)(at - text), text, replace ? replace : "",
             at + (find ? strlen(find) : 0));
    return out;
}

/* Writes the file "whole" anew as "damaged". */
static void write_damaged(const damage *d)
{
    enum { MOST = 128 };
    cn_safetensors *file = NULL;
    cn_tensor_view views[MOST];
    unsigned char *changed = NULL;
    int count = 0;
    CN_ASSERT_OK(cn_safetensors_open(folder_path(&folder, "whole"), &file, &err));
    CU_ASSERT_FATAL(cn_safetensors_count(file) <= MOST);
    for (int i = 0; i < cn_safetensors_count(file); i++) {
        views[count] = *cn_safetensors_at(file, i);
        if (d->tensor && strcmp(views[count].name, d->tensor) == 0) {
            if (d->omit)
                continue;
            changed = malloc(views[count].bytes);
            CU_ASSERT_PTR_NOT_NULL_FATAL(changed);
            memcpy(changed, views[count].data, views[count].bytes);
            changed[views[count].bytes - 1] ^= 1;
            views[count].data = changed;
            views[count].dtype = d->retype ? CN_I32 : views[count].dtype;
        }
        count++;
    }
    CU_ASSERT_TRUE(!d->tensor || changed || d->omit);
    char *text = replaced(cn_safetensors_metadata(file, "colonnade"), d->find, d->replace);
    const cn_metadata_entry entry = {"colonnade", text};
    CN_ASSERT_OK(
        cn_safetensors_write(folder_path(&folder, "damaged"), views, count, &entry, 1, &err));
    free(text);
    free(changed);
    cn_safetensors_close(&file);
}

static void check_refused(const damage *d, cn_status code, const char *words)
{
    cn_policy *policy = NULL;
    write_damaged(d);
    CN_ASSERT_FAILS(code, words, cn_policy_load(folder_path(&folder, "damaged"), &policy, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "/damaged: ")); /* every message names the file */
    CU_ASSERT_PTR_NULL(policy);
    cn_policy_destroy(&policy);
}

static void begin_damage(void)
{
    folder = folder_create();
    cn_policy *policy = three_columns();
    CN_ASSERT_OK(cn_policy_save(policy, folder_path(&folder, "whole"), &err));
    cn_policy_destroy(&policy);
}

static void test_load_refuses_one_changed_bit(void)
{
    static const char *const frozen[] = {"actor/0/layer0.weight",  "actor/0/log_std",
                                         "critic/1/layer2.bias",   "actor/1/adapter1.scale0",
                                         "critic/1/adapter1.bias", "normalizer/0/count",
                                         "normalizer/0/mean",      "normalizer/1/square"};
    begin_damage();
    for (size_t i = 0; i < sizeof frozen / sizeof frozen[0]; i++) {
        char words[64];
        snprintf(words, sizeof words, "column %c was frozen with checksum ",
                 strchr(frozen[i], '/')[1]);
        check_refused(&(damage){.tensor = frozen[i]}, CN_ERR_CHECKSUM, words);
    }
    check_refused(&(damage){.find = "\"checksum\":\"", .replace = "\"checksum\":\"f"},
                  CN_ERR_CHECKSUM, "column 0 was frozen with checksum f");
    /* a column that still learns has no sum yet */
    cn_policy *policy = NULL;
    write_damaged(&(damage){.tensor = "actor/2/layer0.weight"});
    CN_ASSERT_OK(cn_policy_load(folder_path(&folder, "damaged"), &policy, &err));
    cn_policy_destroy(&policy);
    folder_destroy(&folder);
}

/* Why a run ended is said since some time only. */
static void test_load_takes_older_columns(void)
{
    begin_damage();
    cn_policy *policy = NULL;
    write_damaged(&(damage){.find = "\"ended\":", .replace = "\"older\":"});
    CN_ASSERT_OK(cn_policy_load(folder_path(&folder, "damaged"), &policy, &err));
    CU_ASSERT_STRING_EQUAL(cn_policy_column_at(policy, 0)->ended, "");
    cn_policy_destroy(&policy);
    folder_destroy(&folder);
}

/* Files from before columns had a bound: they clip, and their checksums hold. */
static void test_load_knows_the_first_files(void)
{
    cn_policy *policy = NULL, *old = three_columns();
    begin_damage();
    write_damaged(&(damage){.find = "\"bound\":\"clip\",\"state_std\":false,", .replace = ""});
    CN_ASSERT_OK(cn_policy_load(folder_path(&folder, "damaged"), &policy, &err));
    CU_ASSERT_EQUAL(cn_policy_column_at(policy, 0)->bound, CN_BOUND_CLIP);
    CU_ASSERT_FALSE(cn_policy_column_at(policy, 0)->state_std);
    check_same_policy(old, policy);
    check_same_actions(old, policy);
    cn_policy_destroy(&policy);
    cn_policy_destroy(&old);
    folder_destroy(&folder);
}

/* How a frozen column's actions are bounded is part of what was frozen. */
static void test_load_refuses_another_bound(void)
{
    folder = folder_create();
    for (int columns = 1; columns <= 2; columns++) {
        cn_policy *policy = squashed_columns(columns);
        cn_policy_freeze(policy, 0);
        CN_ASSERT_OK(cn_policy_save(policy, folder_path(&folder, "whole"), &err));
        cn_policy_destroy(&policy);
        check_refused(&(damage){.find = "\"bound\":\"tanh\"", .replace = "\"bound\":\"clip\""},
                      CN_ERR_CHECKSUM, "column 0 was frozen with checksum ");
        const damage level = {.find = "\"state_std\":true", .replace = "\"state_std\":false"};
        if (columns == 1)
            check_refused(&level, CN_ERR_CHECKSUM, "column 0 was frozen with checksum ");
        else /* column 1 would have nothing to inherit */
            check_refused(&level, CN_ERR_SHAPE, "the tensor 'actor/1/log_std.weight' has");
        check_refused(&(damage){.find = "\"bound\":\"tanh\"", .replace = "\"bound\":\"wall\""},
                      CN_ERR_FORMAT, "unknown bound 'wall'");
    }
    folder_destroy(&folder);
}

static void test_load_refuses_other_tensors(void)
{
    begin_damage();
    check_refused(&(damage){.tensor = "critic/1/layer0.bias", .omit = true}, CN_ERR_FORMAT,
                  "the tensor 'critic/1/layer0.bias' is missing");
    check_refused(&(damage){.tensor = "normalizer/2/count", .omit = true}, CN_ERR_FORMAT,
                  "the tensor 'normalizer/2/count' is missing");
    check_refused(&(damage){.tensor = "actor/0/layer0.bias", .retype = true}, CN_ERR_SHAPE,
                  "the tensor 'actor/0/layer0.bias' has 64 bytes of another shape or type; its "
                  "column needs 64");
    check_refused(&(damage){.find = "[16,16]", .replace = "[16,8]"}, CN_ERR_SHAPE,
                  "the tensor 'actor/0/layer1.weight' has 1024 bytes of another shape or type; its "
                  "column needs 512");
    folder_destroy(&folder);
}

/* Widths that the file's tensors cannot have, in gigabytes and in hours of drawing weights. */
static void test_load_refuses_widths_beyond_the_tensors(void)
{
    begin_damage();
    check_refused(&(damage){.find = "[16,16]", .replace = "[16,1048576]"}, CN_ERR_SHAPE,
                  "parameter 'actor/0/layer1.weight' [1048576, 16] beside ");
    folder_destroy(&folder);
}

static void test_load_refuses_malformed_metadata(void)
{
    static const struct {
        const char *find, *replace;
        cn_status code;
        const char *words;
    } cases[] = {
        {"{", "[", CN_ERR_FORMAT, "its 'colonnade' metadata is damaged"},
        {"\"format\":1", "\"format\":\"1\"", CN_ERR_FORMAT, "metadata is damaged"},
        {"\"format\":1,", "", CN_ERR_FORMAT, "metadata is damaged"},
        {"\"format\":1", "\"format\":1,\"format\":1", CN_ERR_FORMAT, "metadata is damaged"},
        {"\"format\":1", "\"format\":2", CN_ERR_FORMAT,
         "policy format 2; this program reads format 1"},
        {"\"arm\":", "\"leg\":", CN_ERR_FORMAT, "the description of its environment is incomplete"},
        {"\"step_limit\":20", "\"step_limit\":\"20\"", CN_ERR_FORMAT, "is incomplete"},
        {"\"control_period_s\":0.0", "\"control_period_s\":-0.0", CN_ERR_FORMAT,
         "a control period of -0.05 s, not more than 0"},
        {"\"arm\":\"point\"", "\"arm\":\"a name that is far longer than any arm's name should be\"",
         CN_ERR_FORMAT,
         "arm 'a name that is far longer than any arm's name should be' is longer than 47 bytes"},
        {"\"observation\":[", "\"observation\":[],\"more\":[", CN_ERR_FORMAT,
         "0 observation groups; 1 to 16 are possible"},
        {"{\"name\":\"goal\",\"size\":2}", "{\"name\":\"goal\",\"size\":0}", CN_ERR_FORMAT,
         "observation group 0 is not {name, size}"},
        {"{\"name\":\"place\",\"size\":2}", "{\"name\":\"place\"}", CN_ERR_FORMAT,
         "observation group 1 is not {name, size}"},
        {"[\"x\",\"y\"]", "[]", CN_ERR_FORMAT, "0 actions; 1 to 32 are possible"},
        {"[\"x\",\"y\"]", "[\"x\",7]", CN_ERR_FORMAT, "action 1 is not a name"},
        {"[\"x\",\"y\"]", "[\"x\"]", CN_ERR_SHAPE, "the tensor 'actor/0/layer2.weight'"},
        {"\"columns\":[", "\"columns\":[],\"more\":[", CN_ERR_FORMAT,
         "0 columns; 1 to 8 are possible"},
        {"\"columns\":[", "\"columns\":[1,", CN_ERR_FORMAT, "a column's description is incomplete"},
        {"\"frozen\":true", "\"frozen\":1", CN_ERR_FORMAT, "a column's description is incomplete"},
        {"\"seed\":", "\"speed\":", CN_ERR_FORMAT, "a column's description is incomplete"},
        {"\"groups\":[0,1]", "\"groups\":[0,2]", CN_ERR_ARGUMENT,
         "observation group 2: task 'point' has groups 0 to 1"},
        {"\"groups\":[0,1]", "\"groups\":[0,\"1\"]", CN_ERR_FORMAT,
         "entry 1 of 'groups' is not a number from 0 to 1048576"},
        {"\"groups\":[0,1]", "\"groups\":7", CN_ERR_FORMAT,
         "'groups' is not a list of at most 16 numbers"},
        {"\"hidden\":[16,16]", "\"hidden\":[16,-1]", CN_ERR_FORMAT,
         "entry 1 of 'hidden' is not a number from 0 to 1048576"},
        {"\"hidden\":[16,16]", "\"hidden\":[1048577]", CN_ERR_FORMAT,
         "entry 0 of 'hidden' is not a number from 0 to 1048576"},
        {"\"hidden\":[16,16]", "\"hidden\":[1,1,1,1,1,1,1]", CN_ERR_FORMAT,
         "'hidden' is not a list of at most 6 numbers"},
        {"\"hidden\":[16,16]", "\"hidden\":[16,0]", CN_ERR_ARGUMENT,
         "actor, column 0: hidden layer 1 has 0 units, not >= 1"},
        {"\"hidden\":[16,16]", "\"hidden\":[]", CN_ERR_ARGUMENT,
         "actor, column 0: 0 hidden layers; 1 to 6 are possible"},
        {"\"activation\":\"tanh\"", "\"activation\":\"swish\"", CN_ERR_FORMAT,
         "unknown activation 'swish'; a newer program may have written it"},
        {"\"lateral\":\"adapter\"", "\"lateral\":\"gated\"", CN_ERR_FORMAT,
         "unknown lateral 'gated'; a newer program may have written it"},
        {"\"adapter_size\":8", "\"adapter_size\":-8", CN_ERR_FORMAT,
         "'adapter_size' is -8, not a number from 0 to 1048576"},
        {"\"adapter_size\":8", "\"adapter_size\":2147483647", CN_ERR_FORMAT,
         "'adapter_size' is 2147483647, not a number from 0 to 1048576"},
        {"\"method\":\"ppo\"",
         "\"method\":\"a method whose name does not fit into the forty-seven bytes\"",
         CN_ERR_FORMAT, "is longer than 47 bytes"},
    };
    begin_damage();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_refused(&(damage){.find = cases[i].find, .replace = cases[i].replace}, cases[i].code,
                      cases[i].words);
    folder_destroy(&folder);
}

static void test_load_refuses_what_is_no_policy(void)
{
    cn_policy *policy = NULL;
    const float number = 1.0f;
    const cn_tensor_view view = {
        .name = "x", .dtype = CN_F32, .rank = 1, .shape = {1}, .data = &number, .bytes = 4};
    folder = folder_create();
    CN_ASSERT_OK(cn_safetensors_write(folder_path(&folder, "other"), &view, 1, NULL, 0, &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT,
                    "other: a safetensors file, but not a policy of ours (no 'colonnade' metadata)",
                    cn_policy_load(folder_path(&folder, "other"), &policy, &err));
    file_write(folder_path(&folder, "text"), "not a policy");
    CN_ASSERT_FAILS(CN_ERR_FORMAT,
                    "/text: ", cn_policy_load(folder_path(&folder, "text"), &policy, &err));
    CN_ASSERT_FAILS(CN_ERR_NOT_FOUND, "/none: No such file or directory",
                    cn_policy_load(folder_path(&folder, "none"), &policy, &err));
    CU_ASSERT_PTR_NULL(policy);
    folder_destroy(&folder);
}

/* A file cut off anywhere is refused, and nothing leaks (the sanitizers look). */
static void test_load_refuses_a_file_cut_short(void)
{
    char *bytes;
    size_t size;
    cn_policy *policy = NULL;
    begin_damage();
    CN_ASSERT_OK(cn_file_read(folder_path(&folder, "whole"), &bytes, &size, &err));
    free(bytes);
    for (size_t cut = 1; cut < size; cut += size / 23) {
        CU_ASSERT_EQUAL(truncate(folder_path(&folder, "whole"), (off_t)(size - cut)), 0);
        CN_ASSERT_FAILS(CN_ERR_FORMAT,
                        "/whole: ", cn_policy_load(folder_path(&folder, "whole"), &policy, &err));
        CU_ASSERT_PTR_NULL(policy);
    }
    folder_destroy(&folder);
}

CN_TEST_MAIN("policy.policy_file", T(test_round_trip_is_bit_exact),
             T(test_squashed_columns_round_trip), T(test_load_knows_the_first_files),
             T(test_load_refuses_another_bound), T(test_a_loaded_policy_grows),
             T(test_save_refuses_a_changed_frozen_column),
             T(test_save_where_nothing_can_be_written), T(test_load_refuses_one_changed_bit),
             T(test_load_takes_older_columns), T(test_load_refuses_other_tensors),
             T(test_load_refuses_widths_beyond_the_tensors),
             T(test_load_refuses_malformed_metadata), T(test_load_refuses_what_is_no_policy),
             T(test_load_refuses_a_file_cut_short))
