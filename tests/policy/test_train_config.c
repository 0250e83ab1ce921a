/* The training configuration: every entry of its tables is read, written and read back. */
#include "policy/train_config.h"
#include "tests/test.h"

static cn_error err;

static cn_status read_text(const char *text, cn_train_config *config)
{
    cn_yaml *document = NULL;
    cn_status status = cn_yaml_parse("run.yaml", text, &document, &err);
    if (status == CN_OK)
        status = cn_train_config_read(config, cn_yaml_root(document), &err);
    cn_yaml_destroy(&document);
    return status;
}

/* Compares field by field: a struct has padding. */
static bool same(const cn_train_config *a, const cn_train_config *b)
{
    bool equal = a->layers == b->layers;
    for (int i = 0; i < a->layers; i++)
        equal = equal && a->hidden[i] == b->hidden[i];
    equal = equal && a->critic_layers == b->critic_layers;
    for (int i = 0; i < a->critic_layers; i++)
        equal = equal && a->critic_hidden[i] == b->critic_hidden[i];
#define SAME(name, ...) equal = equal && a->name == b->name;
    CN_TRAIN_INT_TABLE(SAME)
    CN_TRAIN_REAL_TABLE(SAME)
    CN_TRAIN_BOOL_TABLE(SAME)
    CN_TRAIN_WORD_TABLE(SAME)
#undef SAME
    return equal;
}

static void test_defaults(void)
{
    const cn_train_config config = cn_train_config_default();
#define DEFAULT(name, value, ...) CU_ASSERT_EQUAL(config.name, value);
    CN_TRAIN_INT_TABLE(DEFAULT)
    CN_TRAIN_REAL_TABLE(DEFAULT)
    CN_TRAIN_BOOL_TABLE(DEFAULT)
#undef DEFAULT
#define IN_RANGE(name, value, low, high, help)                                                     \
    CU_ASSERT_TRUE(config.name >= low && config.name <= high);
    CN_TRAIN_INT_TABLE(IN_RANGE)
    CN_TRAIN_REAL_TABLE(IN_RANGE)
#undef IN_RANGE
#define DEFAULT(name, type, value, help) CU_ASSERT_EQUAL(config.name, value);
    CN_TRAIN_WORD_TABLE(DEFAULT)
#undef DEFAULT
    CU_ASSERT_EQUAL(config.layers, 2);
    CU_ASSERT_EQUAL(config.hidden[1], 64);
}

/* One document for each entry: the entry changes and nothing else does. */
static void test_every_entry_is_read(void)
{
    const cn_train_config defaults = cn_train_config_default();
    cn_train_config config, expected;
    char text[128];
#define READ_INT(name, value, low, high, help)                                                     \
    config = expected = defaults;                                                                  \
    expected.name = (value) + 1;                                                                   \
    snprintf(text, sizeof text, #name ": %ld\n", expected.name);                                   \
    CN_ASSERT_OK(read_text(text, &config));                                                        \
    CU_ASSERT_TRUE(same(&config, &expected));
    CN_TRAIN_INT_TABLE(READ_INT)
#undef READ_INT
#define READ_REAL(name, value, low, high, help)                                                    \
    config = expected = defaults;                                                                  \
    expected.name = (value) == (high) ? 0.5 * (value) : 0.5 * ((value) + (high));                  \
    snprintf(text, sizeof text, #name ": %.17g\n", expected.name);                                 \
    CN_ASSERT_OK(read_text(text, &config));                                                        \
    CU_ASSERT_TRUE(same(&config, &expected));
    CN_TRAIN_REAL_TABLE(READ_REAL)
#undef READ_REAL
#define READ_BOOL(name, value, help)                                                               \
    config = expected = defaults;                                                                  \
    expected.name = !(value);                                                                      \
    snprintf(text, sizeof text, #name ": %s\n", expected.name ? "true" : "false");                 \
    CN_ASSERT_OK(read_text(text, &config));                                                        \
    CU_ASSERT_TRUE(same(&config, &expected));
    CN_TRAIN_BOOL_TABLE(READ_BOOL)
#undef READ_BOOL
}

static void test_words_and_widths_are_read(void)
{
    cn_train_config config = cn_train_config_default();
    CN_ASSERT_OK(
        read_text("hidden: [8, 16, 32]\ncritic_hidden: [5]\nactivation: relu\nlateral: adapter\n"
                  "algorithm: ppo\nlearning_rate_schedule: cosine\n",
                  &config));
    CU_ASSERT_EQUAL(config.layers, 3);
    CU_ASSERT_EQUAL(config.hidden[0], 8);
    CU_ASSERT_EQUAL(config.hidden[2], 32);
    CU_ASSERT_EQUAL(config.critic_layers, 1);
    CU_ASSERT_EQUAL(config.critic_hidden[0], 5);
    CU_ASSERT_EQUAL(config.activation, CN_RELU);
    CU_ASSERT_EQUAL(config.lateral, CN_LATERAL_ADAPTER);
    CU_ASSERT_EQUAL(config.algorithm, CN_PPO);
    CU_ASSERT_EQUAL(config.learning_rate_schedule, CN_SCHEDULE_COSINE);
}

/* A later section overrides only what it names. */
static void test_sections_override(void)
{
    cn_train_config config = cn_train_config_default();
    CN_ASSERT_OK(read_text("steps: 5\nenvs: 3\n", &config));
    CN_ASSERT_OK(read_text("envs: 4\n", &config));
    CU_ASSERT_EQUAL(config.steps, 5);
    CU_ASSERT_EQUAL(config.envs, 4);
    CU_ASSERT_EQUAL(config.epochs, 10);
}

/* What is in `sac:` holds for SAC, wherever that was chosen before; it is checked always. */
static void test_section_of_an_algorithm(void)
{
    const char *const text = "envs: 8\nsac:\n  envs: 2\n  tau: 0.5\n";
    cn_train_config config = cn_train_config_default();
    CN_ASSERT_OK(read_text(text, &config));
    CU_ASSERT_EQUAL(config.envs, 8);
    CU_ASSERT_EQUAL(config.tau, 0.005);
    config.algorithm = CN_SAC;
    CN_ASSERT_OK(read_text(text, &config));
    CU_ASSERT_EQUAL(config.envs, 2);
    CU_ASSERT_EQUAL(config.tau, 0.5);
    config = cn_train_config_default();
    CN_ASSERT_OK(read_text("sac: {envs: 2}\nalgorithm: sac\n", &config));
    CU_ASSERT_EQUAL(config.envs, 2);
    config = cn_train_config_default();
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "run.yaml:2: unknown key 'tow'",
                    read_text("sac:\n  tow: 0.5\n", &config));
}

/* What is written is read back, whatever was set: 1/3 has no short decimal. */
static void test_written_is_read_back(void)
{
    cn_train_config config = cn_train_config_default(), back = cn_train_config_default();
#define UNUSUAL(name, value, ...) config.name = (value) + 1;
    CN_TRAIN_INT_TABLE(UNUSUAL)
#undef UNUSUAL
#define UNUSUAL(name, value, low, high, help) config.name = (low) + ((high) - (low)) / 3.0;
    CN_TRAIN_REAL_TABLE(UNUSUAL)
#undef UNUSUAL
#define UNUSUAL(name, value, ...) config.name = !(value);
    CN_TRAIN_BOOL_TABLE(UNUSUAL)
#undef UNUSUAL
    config.layers = 1;
    config.hidden[0] = 7;
    config.critic_layers = 1;
    config.critic_hidden[0] = 9;
    config.algorithm = CN_SAC;
    config.activation = CN_IDENTITY;
    config.lateral = CN_LATERAL_NONE;
    config.learning_rate_schedule = CN_SCHEDULE_CONSTANT;

    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    cn_train_config_write(&config, out);
    fclose(out);
    CU_ASSERT_FALSE(same(&config, &back));
    CN_ASSERT_OK(read_text(text, &back));
    CU_ASSERT_TRUE(same(&config, &back));
    free(text);
}

static void test_help_names_every_key(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    cn_train_config_help(out);
    fclose(out);
#define NAMED(name, ...) CU_ASSERT_PTR_NOT_NULL(strstr(text, "  " #name " "));
    CN_TRAIN_INT_TABLE(NAMED)
    CN_TRAIN_REAL_TABLE(NAMED)
    CN_TRAIN_BOOL_TABLE(NAMED)
    CN_TRAIN_WORD_TABLE(NAMED)
#undef NAMED
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "  hidden "));
    free(text);
}

static void test_refuses_with_file_and_line(void)
{
    const struct {
        const char *text, *words;
    } cases[] = {
        {"steps: 5\nlearning_rat: 1e-3\n",
         "run.yaml:2: unknown key 'learning_rat'; known here: steps, envs, "},
        {"learning_rat: 1e-3\n",
         ", lateral, hidden, critic_hidden, sac"}, /* the last of the known keys */
        {"\nenvs: 0\n", "run.yaml:2: found 0, expected 1 to 65536"},
        {"envs: 65537\n", "run.yaml:1: found 65537, expected 1 to 65536"},
        {"envs: many\n", "run.yaml:1: found 'many', expected a whole number"},
        {"envs: 1.5\n", "run.yaml:1: found '1.5', expected a whole number"},
        {"discount: 1.5\n", "run.yaml:1: found 1.5, expected 0 to 1"},
        {"discount: nan\n", "run.yaml:1: found 'nan', expected a number"},
        {"normalize_reward: perhaps\n", "run.yaml:1: found 'perhaps', expected true or false"},
        {"hidden: []\n", "run.yaml:1: 'hidden' is a list of 1 to 6 layer widths"},
        {"hidden: 64\n", "run.yaml:1: 'hidden' is a list of 1 to 6 layer widths"},
        {"hidden: [1, 2, 3, 4, 5, 6, 7]\n", "'hidden' is a list of 1 to 6 layer widths"},
        {"hidden:\n  - 8\n  - 0\n", "run.yaml:3: found 0, expected 1 to 65536"},
        {"activation: sigmoid\n",
         "run.yaml:1: found 'sigmoid', expected one of: identity, tanh, relu"},
        {"critic_hidden: 64\n", "run.yaml:1: 'critic_hidden' is a list of 1 to 6 layer widths"},
        {"algorithm: luck\n", "run.yaml:1: found 'luck', expected one of: ppo, sac"},
        {"lateral: sideways\n",
         "run.yaml:1: found 'sideways', expected one of: none, linear, adapter"},
        {"envs: 2\nsac:\n  sac: {envs: 2}\n", "run.yaml:3: a 'sac' section within a 'sac' section"},
        {"sac: &itself\n  sac: *itself\n", "a 'sac' section within a 'sac' section"},
        {"[steps]\n", "run.yaml:1: found a list, expected a map with: steps, envs, "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cn_train_config config = cn_train_config_default();
        CN_ASSERT_FAILS(CN_ERR_FORMAT, cases[i].words, read_text(cases[i].text, &config));
    }
}

/* Both ends of every range are inside it; one step beyond is refused. */
static void test_ranges(void)
{
    cn_train_config config = cn_train_config_default();
    char text[128];
#define TRY(code, format, name, number)                                                            \
    snprintf(text, sizeof text, #name ": " format "\n", number);                                   \
    CU_ASSERT_EQUAL(read_text(text, &config), code);
#define RANGE(name, value, low, high, help)                                                        \
    TRY(CN_OK, "%ld", name, (long)(low))                                                           \
    TRY(CN_OK, "%ld", name, (long)(high))                                                          \
    TRY(CN_ERR_FORMAT, "%ld", name, (long)(low)-1)                                                 \
    TRY(CN_ERR_FORMAT, "%ld", name, (long)(high) + 1)
    CN_TRAIN_INT_TABLE(RANGE)
#undef RANGE
#define RANGE(name, value, low, high, help)                                                        \
    TRY(CN_OK, "%.17g", name, (double)(low))                                                       \
    TRY(CN_OK, "%.17g", name, (double)(high))                                                      \
    TRY(CN_ERR_FORMAT, "%.17g", name, nextafter(low, -INFINITY))                                   \
    TRY(CN_ERR_FORMAT, "%.17g", name, nextafter(high, INFINITY))
    CN_TRAIN_REAL_TABLE(RANGE)
#undef RANGE
#undef TRY
}

CN_TEST_MAIN("policy.train_config", T(test_defaults), T(test_every_entry_is_read),
             T(test_words_and_widths_are_read), T(test_sections_override),
             T(test_section_of_an_algorithm), T(test_written_is_read_back),
             T(test_help_names_every_key), T(test_refuses_with_file_and_line), T(test_ranges))
