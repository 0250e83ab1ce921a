/* The training configuration: defaults, reader, writer and help, all from its tables. */
#include "policy/train_config.h"

#include <string.h>

/* The words of CN_TRAIN_WORD_TABLE, in the order of their types. */
static const char *const algorithm_words[] = {"ppo", "sac", NULL};
static const char *const learning_rate_schedule_words[] = {"constant", "linear", "cosine", NULL};
static const char *const activation_words[] = {"identity", "tanh", "relu", NULL};
static const char *const lateral_words[] = {"none", "linear", "adapter", NULL};

cn_train_config cn_train_config_default(void)
{
    return (cn_train_config){
#define CN_TRAIN_DEFAULT(name, value, ...) .name = value,
        CN_TRAIN_INT_TABLE(CN_TRAIN_DEFAULT) CN_TRAIN_REAL_TABLE(CN_TRAIN_DEFAULT)
            CN_TRAIN_BOOL_TABLE(CN_TRAIN_DEFAULT)
#undef CN_TRAIN_DEFAULT
#define CN_TRAIN_DEFAULT(name, type, value, help) .name = value,
                CN_TRAIN_WORD_TABLE(CN_TRAIN_DEFAULT)
#undef CN_TRAIN_DEFAULT
                    .layers = 2,
        .hidden = {64, 64},
        .critic_layers = 2,
        .critic_hidden = {256, 256},
    };
}

const char *cn_algorithm_word(cn_algorithm algorithm)
{
    return algorithm_words[algorithm];
}

/* @param layers, hidden  out: their number and widths */
static cn_status read_hidden(const char *key, cn_yaml_node list, int *layers, int *hidden,
                             cn_error *err)
{
    const int count = cn_yaml_is_list(list) ? cn_yaml_count(list) : 0;
    if (count < 1 || count > CN_MAX_LAYERS)
        return cn_yaml_fail(list, err, "'%s' is a list of 1 to %d layer widths", key,
                            CN_MAX_LAYERS);
    *layers = count;
    for (int i = 0; i < count; i++) {
        long width;
        CN_TRY(cn_yaml_int(cn_yaml_item(list, i), 1, 65536, &width, err));
        hidden[i] = (int)width;
    }
    return CN_OK;
}

static cn_status read_settings(cn_train_config *config, cn_yaml_node map, cn_error *err)
{
    static const char *const keys[] = {
#define CN_TRAIN_KEY(name, ...) #name,
        CN_TRAIN_INT_TABLE(CN_TRAIN_KEY) CN_TRAIN_REAL_TABLE(CN_TRAIN_KEY)
            CN_TRAIN_BOOL_TABLE(CN_TRAIN_KEY) CN_TRAIN_WORD_TABLE(CN_TRAIN_KEY)
#undef CN_TRAIN_KEY
                "hidden",
        "critic_hidden",
        "sac",
        NULL,
    };
    CN_TRY(cn_yaml_check_keys(map, keys, err));
    cn_yaml_node node;
    int word;
#define CN_TRAIN_READ(name, value, low, high, help)                                                \
    if (cn_yaml_find(map, #name, &node))                                                           \
        CN_TRY(cn_yaml_int(node, low, high, &config->name, err));
    CN_TRAIN_INT_TABLE(CN_TRAIN_READ)
#undef CN_TRAIN_READ
#define CN_TRAIN_READ(name, value, low, high, help)                                                \
    if (cn_yaml_find(map, #name, &node))                                                           \
        CN_TRY(cn_yaml_double(node, low, high, &config->name, err));
    CN_TRAIN_REAL_TABLE(CN_TRAIN_READ)
#undef CN_TRAIN_READ
#define CN_TRAIN_READ(name, value, help)                                                           \
    if (cn_yaml_find(map, #name, &node))                                                           \
        CN_TRY(cn_yaml_bool(node, &config->name, err));
    CN_TRAIN_BOOL_TABLE(CN_TRAIN_READ)
#undef CN_TRAIN_READ
#define CN_TRAIN_READ(name, type, value, help)                                                     \
    if (cn_yaml_find(map, #name, &node)) {                                                         \
        CN_TRY(cn_yaml_choice(node, name##_words, &word, err));                                    \
        config->name = (type)word;                                                                 \
    }
    CN_TRAIN_WORD_TABLE(CN_TRAIN_READ)
#undef CN_TRAIN_READ
    if (cn_yaml_find(map, "hidden", &node))
        CN_TRY(read_hidden("hidden", node, &config->layers, config->hidden, err));
    if (cn_yaml_find(map, "critic_hidden", &node))
        CN_TRY(
            read_hidden("critic_hidden", node, &config->critic_layers, config->critic_hidden, err));
    return CN_OK;
}

cn_status cn_train_config_read(cn_train_config *config, cn_yaml_node map, cn_error *err)
{
    cn_yaml_node section, inner;
    CN_TRY(read_settings(config, map, err));
    if (!cn_yaml_find(map, "sac", &section))
        return CN_OK;
    /* Aliases can make a section that holds itself. */
    if (cn_yaml_find(section, "sac", &inner))
        return cn_yaml_fail(inner, err, "a 'sac' section within a 'sac' section; keep one");
    /* The settings of a `sac:` section are checked always and hold when that is the algorithm. */
    cn_train_config unused = *config;
    return read_settings(config->algorithm == CN_SAC ? config : &unused, section, err);
}

static void write_hidden(const char *key, const int *hidden, int layers, FILE *out)
{
    fprintf(out, "%s: [", key);
    for (int i = 0; i < layers; i++)
        fprintf(out, "%s%d", i ? ", " : "", hidden[i]);
    fprintf(out, "]\n");
}

void cn_train_config_write(const cn_train_config *config, FILE *out)
{
#define CN_TRAIN_WRITE(name, ...) fprintf(out, "%s: %ld\n", #name, config->name);
    CN_TRAIN_INT_TABLE(CN_TRAIN_WRITE)
#undef CN_TRAIN_WRITE
#define CN_TRAIN_WRITE(name, ...) fprintf(out, "%s: %.17g\n", #name, config->name);
    CN_TRAIN_REAL_TABLE(CN_TRAIN_WRITE)
#undef CN_TRAIN_WRITE
#define CN_TRAIN_WRITE(name, ...) fprintf(out, "%s: %s\n", #name, config->name ? "true" : "false");
    CN_TRAIN_BOOL_TABLE(CN_TRAIN_WRITE)
#undef CN_TRAIN_WRITE
#define CN_TRAIN_WRITE(name, ...) fprintf(out, "%s: %s\n", #name, name##_words[config->name]);
    CN_TRAIN_WORD_TABLE(CN_TRAIN_WRITE)
#undef CN_TRAIN_WRITE
    write_hidden("hidden", config->hidden, config->layers, out);
    write_hidden("critic_hidden", config->critic_hidden, config->critic_layers, out);
}

void cn_train_config_help(FILE *out)
{
#define CN_TRAIN_HELP(name, value, low, high, help)                                                \
    fprintf(out, "  %-22s %-10s %s\n", #name, #value, help);
    CN_TRAIN_INT_TABLE(CN_TRAIN_HELP)
    CN_TRAIN_REAL_TABLE(CN_TRAIN_HELP)
#undef CN_TRAIN_HELP
#define CN_TRAIN_HELP(name, value, help) fprintf(out, "  %-22s %-10s %s\n", #name, #value, help);
    CN_TRAIN_BOOL_TABLE(CN_TRAIN_HELP)
#undef CN_TRAIN_HELP
#define CN_TRAIN_HELP(name, type, value, help)                                                     \
    fprintf(out, "  %-22s %-10s %s\n", #name, name##_words[value], help);
    CN_TRAIN_WORD_TABLE(CN_TRAIN_HELP)
#undef CN_TRAIN_HELP
    fprintf(out, "  %-22s %-10s %s\n", "hidden", "[64, 64]", "widths of the hidden layers");
    fprintf(out, "  %-22s %-10s %s\n", "critic_hidden", "[256, 256]",
            "sac: widths of the critics' hidden layers");
    fprintf(out, "  %-22s %-10s %s\n", "sac", "{}", "settings that hold when the algorithm is sac");
}
