/* YAML with line numbers: a document whose every value remembers where it stood, so that a mistake
 * found long after parsing ("joint 'elbow' is not in arm.xml") can still name file and line.
 * Parsing is libyaml's; this is the typed, strict way to read its nodes.
 *
 * Nodes are small values that borrow from their document. Every function that fails writes
 * "file:line: what was found, what was expected". */
#ifndef CN_BASE_YAML_H
#define CN_BASE_YAML_H

#include <stdbool.h>

#include "base/error.h"

typedef struct cn_yaml cn_yaml;

typedef struct cn_yaml_node {
    const cn_yaml *document; /* borrowed */
    int index;               /* libyaml's node number, from 1; 0: no node */
} cn_yaml_node;

/* @return CN_ERR_NOT_FOUND, CN_ERR_IO, CN_ERR_FORMAT (syntax, duplicate keys, more than 1000
 * of them, NUL characters, several documents). */
cn_status cn_yaml_load(const char *path, cn_yaml **out, cn_error *err);
/* The same from memory; `name` stands for the path in messages. */
cn_status cn_yaml_parse(const char *name, const char *text, cn_yaml **out, cn_error *err);
void cn_yaml_destroy(cn_yaml **document);

cn_yaml_node cn_yaml_root(const cn_yaml *document);
const char *cn_yaml_path(cn_yaml_node node);
int cn_yaml_line(cn_yaml_node node); /* from 1 */

/* "file:line: " + message, status CN_ERR_FORMAT. */
cn_status cn_yaml_fail(cn_yaml_node node, cn_error *err, const char *format, ...);

bool cn_yaml_is_map(cn_yaml_node node);
bool cn_yaml_is_list(cn_yaml_node node);
bool cn_yaml_is_scalar(cn_yaml_node node);

/* Maps. `keys` is a NULL-terminated list: any other key fails and the message lists the known ones.
 */
cn_status cn_yaml_check_keys(cn_yaml_node map, const char *const *keys, cn_error *err);
bool cn_yaml_find(cn_yaml_node map, const char *key, cn_yaml_node *out);
cn_status cn_yaml_require(cn_yaml_node map, const char *key, cn_yaml_node *out, cn_error *err);

/* Number of entries of a map or items of a list (0 for a scalar), and access by position. */
int cn_yaml_count(cn_yaml_node node);
cn_yaml_node cn_yaml_item(cn_yaml_node list, int i);
cn_yaml_node cn_yaml_entry(cn_yaml_node map, int i, const char **key);

/* Scalars. Numbers must be finite and within [low, high]. Strings borrow from the document. */
cn_status cn_yaml_double(cn_yaml_node node, double low, double high, double *out, cn_error *err);
cn_status cn_yaml_int(cn_yaml_node node, long low, long high, long *out, cn_error *err);
cn_status cn_yaml_bool(cn_yaml_node node, bool *out, cn_error *err);
cn_status cn_yaml_string(cn_yaml_node node, const char **out, cn_error *err);

/* A list of exactly `count` numbers in [low, high]. */
cn_status cn_yaml_doubles(cn_yaml_node node, double low, double high, int count, double *out,
                          cn_error *err);

/* Chooses among words: *out is the position of the scalar in the NULL-terminated `words`. */
cn_status cn_yaml_choice(cn_yaml_node node, const char *const *words, int *out, cn_error *err);

#endif
