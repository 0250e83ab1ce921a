/* YAML documents over libyaml's document API, which keeps the mark of every node. The loader builds
 * a flat table of nodes; everything here reads that table by index and never recurses, so a
 * document with an alias to its own ancestor is harmless. */
#include "base/yaml.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/file.h"

/* Of one map: they are compared each with each. */
enum { KEYS_MAX = 1000 };

struct cn_yaml {
    char *path;
    bool parsed; /* tree holds memory of libyaml's */
    yaml_document_t tree;
};

static const yaml_node_t *raw(cn_yaml_node node)
{
    return node.index > 0 ? &node.document->tree.nodes.start[node.index - 1] : NULL;
}

static bool has_type(cn_yaml_node node, yaml_node_type_t type)
{
    const yaml_node_t *n = raw(node);
    return n && n->type == type;
}

static const char *scalar_text(const yaml_node_t *n)
{
    return (const char *)n->data.scalar.value;
}

/* What a person would call this node in a message. */
static const char *describe(cn_yaml_node node, char buffer[80])
{
    if (cn_yaml_is_map(node))
        return "a map";
    if (cn_yaml_is_list(node))
        return "a list";
    if (!cn_yaml_is_scalar(node))
        return "nothing";
    snprintf(buffer, 80, "'%.70s'", scalar_text(raw(node)));
    return buffer;
}

/* "a, b, c" of a NULL-terminated list, cut off where the buffer ends. */
static const char *join(const char *const *words, char *buffer, size_t size)
{
    size_t used = 0;
    buffer[0] = '\0';
    for (int i = 0; words[i] && used < size; i++)
        used += (size_t)snprintf(buffer + used, size - used, "%s%s", i ? ", " : "", words[i]);
    return buffer;
}

/* Keys must be distinct scalars. */
static cn_status check_map(cn_yaml_node map, cn_error *err)
{
    const yaml_node_pair_t *first = raw(map)->data.mapping.pairs.start;
    if (cn_yaml_count(map) > KEYS_MAX)
        return cn_yaml_fail(map, err, "a map of %d keys, at most %d", cn_yaml_count(map), KEYS_MAX);
    for (int i = 0; i < cn_yaml_count(map); i++) {
        const cn_yaml_node key = {map.document, first[i].key};
        if (!cn_yaml_is_scalar(key))
            return cn_yaml_fail(key, err, "a key must be a word, found %s",
                                cn_yaml_is_map(key) ? "a map" : "a list");
        for (int j = 0; j < i; j++) {
            const cn_yaml_node before = {map.document, first[j].key};
            if (strcmp(scalar_text(raw(key)), scalar_text(raw(before))) == 0)
                return cn_yaml_fail(key, err, "key '%s' is already on line %d; keep one",
                                    scalar_text(raw(key)), cn_yaml_line(before));
        }
    }
    return CN_OK;
}

/* libyaml itself accepts anything. */
static cn_status check_nodes(const cn_yaml *document, cn_error *err)
{
    const int nodes = (int)(document->tree.nodes.top - document->tree.nodes.start);
    for (int index = 1; index <= nodes; index++) {
        const cn_yaml_node node = {document, index};
        if (cn_yaml_is_map(node))
            CN_TRY(check_map(node, err));
        else if (cn_yaml_is_scalar(node) &&
                 strlen(scalar_text(raw(node))) != raw(node)->data.scalar.length)
            return cn_yaml_fail(node, err, "'%.70s' goes on behind a NUL character",
                                scalar_text(raw(node)));
    }
    return CN_OK;
}

static cn_status syntax_error(const cn_yaml *document, const yaml_parser_t *parser, cn_error *err)
{
    if (parser->error == YAML_MEMORY_ERROR)
        CN_FAIL(CN_ERR_MEMORY, err, "%s: no memory to parse the document", document->path);
    CN_FAIL(CN_ERR_FORMAT, err, "%s:%zu: %s%s%s", document->path, parser->problem_mark.line + 1,
            parser->problem ? parser->problem : "not YAML", parser->context ? " " : "",
            parser->context ? parser->context : "");
}

/* A second document in the stream would be silently ignored, so it is refused. */
static cn_status expect_end(cn_yaml *document, yaml_parser_t *parser, cn_error *err)
{
    yaml_document_t next;
    if (!yaml_parser_load(parser, &next))
        return syntax_error(document, parser, err);
    const bool more = yaml_document_get_root_node(&next) != NULL;
    const size_t line = next.start_mark.line + 1;
    yaml_document_delete(&next);
    CN_FAIL_IF(more, CN_ERR_FORMAT, err, "%s:%zu: a second document begins here, expected one",
               document->path, line);
    return CN_OK;
}

static cn_status parse(const char *name, const char *text, size_t size, cn_yaml **out,
                       cn_error *err)
{
    *out = NULL;
    cn_status status = CN_OK;
    yaml_parser_t parser;
    CN_FAIL_IF(!yaml_parser_initialize(&parser), CN_ERR_MEMORY, err, "%s: no memory to parse",
               name);
    cn_yaml *document = calloc(1, sizeof *document);
    if (!document || !(document->path = strdup(name)))
        CN_FAIL_CLEANUP(CN_ERR_MEMORY, err, "%s: no memory to parse", name);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    if (!yaml_parser_load(&parser, &document->tree)) {
        status = syntax_error(document, &parser, err);
        goto cleanup;
    }
    document->parsed = true;
    if (!yaml_document_get_root_node(&document->tree))
        CN_FAIL_CLEANUP(CN_ERR_FORMAT, err, "%s:1: the document is empty", name);
    CN_TRY_CLEANUP(expect_end(document, &parser, err));
    CN_TRY_CLEANUP(check_nodes(document, err));
    *out = document;
    document = NULL;
cleanup:
    yaml_parser_delete(&parser);
    cn_yaml_destroy(&document);
    return status;
}

cn_status cn_yaml_load(const char *path, cn_yaml **out, cn_error *err)
{
    *out = NULL;
    char *text = NULL;
    size_t size = 0;
    CN_TRY(cn_file_read(path, &text, &size, err));
    const cn_status status = parse(path, text, size, out, err);
    free(text);
    return status;
}

cn_status cn_yaml_parse(const char *name, const char *text, cn_yaml **out, cn_error *err)
{
    return parse(name, text, strlen(text), out, err);
}

void cn_yaml_destroy(cn_yaml **document)
{
    if (!*document)
        return;
    if ((*document)->parsed)
        yaml_document_delete(&(*document)->tree);
    free((*document)->path);
    free(*document);
    *document = NULL;
}

cn_yaml_node cn_yaml_root(const cn_yaml *document)
{
    return (cn_yaml_node){document, 1};
}

const char *cn_yaml_path(cn_yaml_node node)
{
    return node.document->path;
}

int cn_yaml_line(cn_yaml_node node)
{
    const yaml_node_t *n = raw(node);
    return n ? (int)n->start_mark.line + 1 : 1;
}

cn_status cn_yaml_fail(cn_yaml_node node, cn_error *err, const char *format, ...)
{
    char message[900];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    CN_FAIL(CN_ERR_FORMAT, err, "%s:%d: %s", cn_yaml_path(node), cn_yaml_line(node), message);
}

bool cn_yaml_is_map(cn_yaml_node node)
{
    return has_type(node, YAML_MAPPING_NODE);
}

bool cn_yaml_is_list(cn_yaml_node node)
{
    return has_type(node, YAML_SEQUENCE_NODE);
}

bool cn_yaml_is_scalar(cn_yaml_node node)
{
    return has_type(node, YAML_SCALAR_NODE);
}

cn_status cn_yaml_check_keys(cn_yaml_node map, const char *const *keys, cn_error *err)
{
    char found[80], known[900];
    if (!cn_yaml_is_map(map))
        return cn_yaml_fail(map, err, "found %s, expected a map with: %s", describe(map, found),
                            join(keys, known, sizeof known));
    for (int i = 0; i < cn_yaml_count(map); i++) {
        const char *key;
        cn_yaml_entry(map, i, &key);
        bool is_known = false;
        for (int k = 0; keys[k] && !is_known; k++)
            is_known = strcmp(key, keys[k]) == 0;
        const cn_yaml_node at = {map.document, raw(map)->data.mapping.pairs.start[i].key};
        if (!is_known)
            return cn_yaml_fail(at, err, "unknown key '%s'; known here: %s", key,
                                join(keys, known, sizeof known));
    }
    return CN_OK;
}

bool cn_yaml_find(cn_yaml_node map, const char *key, cn_yaml_node *out)
{
    *out = (cn_yaml_node){map.document, 0};
    if (!cn_yaml_is_map(map))
        return false;
    for (int i = 0; i < cn_yaml_count(map); i++) {
        const char *name;
        const cn_yaml_node value = cn_yaml_entry(map, i, &name);
        if (strcmp(name, key) == 0) {
            *out = value;
            return true;
        }
    }
    return false;
}

cn_status cn_yaml_require(cn_yaml_node map, const char *key, cn_yaml_node *out, cn_error *err)
{
    char found[80];
    if (!cn_yaml_is_map(map))
        return cn_yaml_fail(map, err, "found %s, expected a map with '%s'", describe(map, found),
                            key);
    if (!cn_yaml_find(map, key, out))
        return cn_yaml_fail(map, err, "key '%s' is missing", key);
    return CN_OK;
}

int cn_yaml_count(cn_yaml_node node)
{
    const yaml_node_t *n = raw(node);
    if (cn_yaml_is_map(node))
        return (int)(n->data.mapping.pairs.top - n->data.mapping.pairs.start);
    if (cn_yaml_is_list(node))
        return (int)(n->data.sequence.items.top - n->data.sequence.items.start);
    return 0;
}

cn_yaml_node cn_yaml_item(cn_yaml_node list, int i)
{
    return (cn_yaml_node){list.document, raw(list)->data.sequence.items.start[i]};
}

cn_yaml_node cn_yaml_entry(cn_yaml_node map, int i, const char **key)
{
    const yaml_node_pair_t *pair = &raw(map)->data.mapping.pairs.start[i];
    *key = scalar_text(raw((cn_yaml_node){map.document, pair->key}));
    return (cn_yaml_node){map.document, pair->value};
}

/* The whole of an unquoted scalar as a finite decimal number. */
static bool parse_number(cn_yaml_node node, double *out)
{
    const yaml_node_t *n = raw(node);
    if (!cn_yaml_is_scalar(node) || n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    const char *text = scalar_text(n);
    /* strtod also reads hexadecimal, "inf" and "nan", which are no numbers of ours. */
    if (!*text || text[strspn(text, "+-.0123456789eE")] != '\0')
        return false;
    char *end;
    *out = strtod(text, &end);
    return *end == '\0' && end != text && isfinite(*out);
}

cn_status cn_yaml_double(cn_yaml_node node, double low, double high, double *out, cn_error *err)
{
    char found[80];
    double value;
    if (!parse_number(node, &value))
        return cn_yaml_fail(node, err, "found %s, expected a number", describe(node, found));
    if (value < low || value > high) {
        if (high >= DBL_MAX)
            return cn_yaml_fail(node, err, "found %g, expected at least %g", value, low);
        return cn_yaml_fail(node, err, "found %g, expected %g to %g", value, low, high);
    }
    *out = value;
    return CN_OK;
}

cn_status cn_yaml_int(cn_yaml_node node, long low, long high, long *out, cn_error *err)
{
    const double exact = 9007199254740992.0; /* 2^53: beyond it a double skips integers */
    char found[80];
    double value;
    if (!parse_number(node, &value) || value != floor(value) || fabs(value) > exact)
        return cn_yaml_fail(node, err, "found %s, expected a whole number", describe(node, found));
    if ((long)value < low || (long)value > high)
        return cn_yaml_fail(node, err, "found %ld, expected %ld to %ld", (long)value, low, high);
    *out = (long)value;
    return CN_OK;
}

cn_status cn_yaml_bool(cn_yaml_node node, bool *out, cn_error *err)
{
    char found[80];
    const char *text = cn_yaml_is_scalar(node) ? scalar_text(raw(node)) : "";
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return cn_yaml_fail(node, err, "found %s, expected true or false", describe(node, found));
    *out = text[0] == 't';
    return CN_OK;
}

cn_status cn_yaml_string(cn_yaml_node node, const char **out, cn_error *err)
{
    char found[80];
    if (!cn_yaml_is_scalar(node))
        return cn_yaml_fail(node, err, "found %s, expected a word", describe(node, found));
    const char *text = scalar_text(raw(node));
    if (!*text)
        return cn_yaml_fail(node, err, "found nothing, expected a word");
    *out = text;
    return CN_OK;
}

cn_status cn_yaml_doubles(cn_yaml_node node, double low, double high, int count, double *out,
                          cn_error *err)
{
    char found[80];
    if (!cn_yaml_is_list(node))
        return cn_yaml_fail(node, err, "found %s, expected a list of %d numbers",
                            describe(node, found), count);
    if (cn_yaml_count(node) != count)
        return cn_yaml_fail(node, err, "found %d numbers, expected %d", cn_yaml_count(node), count);
    for (int i = 0; i < count; i++)
        CN_TRY(cn_yaml_double(cn_yaml_item(node, i), low, high, &out[i], err));
    return CN_OK;
}

cn_status cn_yaml_choice(cn_yaml_node node, const char *const *words, int *out, cn_error *err)
{
    char found[80], known[600];
    if (cn_yaml_is_scalar(node))
        for (int i = 0; words[i]; i++)
            if (strcmp(scalar_text(raw(node)), words[i]) == 0) {
                *out = i;
                return CN_OK;
            }
    return cn_yaml_fail(node, err, "found %s, expected one of: %s", describe(node, found),
                        join(words, known, sizeof known));
}
