/* Who may talk to a robot: CURVE key pairs (CurveZMQ, rfc.zeromq.org/spec/26; Curve25519) and lists
 * of public keys. A pair is two small YAML files, NAME.key, which only its owner may read, and
 * NAME.pub, which everybody may; a list is a folder of the latter. */
#ifndef CN_BRIDGE_KEYS_H
#define CN_BRIDGE_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "policy/arm.h"

#define CN_KEY_TEXT  41 /* a key in Z85, NUL included */
#define CN_KEY_BYTES 32

typedef struct cn_key {
    char name[CN_NAME];
    char public_text[CN_KEY_TEXT];
    uint8_t public_bytes[CN_KEY_BYTES];
    char secret_text[CN_KEY_TEXT]; /* "": not ours */
} cn_key;

/* Makes a new pair and writes PATH.key, readable by its owner alone, and PATH.pub. The key is named
 * after the file.
 * @return CN_ERR_ARGUMENT (no name, or one too long; a file of that name exists), CN_ERR_IO. */
cn_status cn_key_make(const char *path, cn_error *err);

/* Reads a .key file. @return CN_ERR_NOT_FOUND; CN_ERR_REFUSED: others can read it; CN_ERR_FORMAT:
 * with file and line, also where the public key does not go with the secret one; CN_ERR_IO. */
cn_status cn_key_load(const char *path, cn_key *out, cn_error *err);

/* Reads a .pub file. @return CN_ERR_NOT_FOUND, CN_ERR_FORMAT, CN_ERR_IO. */
cn_status cn_key_load_public(const char *path, cn_key *out, cn_error *err);

typedef struct cn_key_list cn_key_list;

/* Reads one .pub file, or every .pub file of a folder.
 * @return as cn_key_load_public; CN_ERR_ARGUMENT: a folder without any; CN_ERR_MEMORY. */
cn_status cn_key_list_load(const char *path, cn_key_list **out, cn_error *err);
void cn_key_list_destroy(cn_key_list **list);
int cn_key_list_count(const cn_key_list *list);

/* The key with these bytes [CN_KEY_BYTES]; NULL: it is not in the list. */
const cn_key *cn_key_list_find(const cn_key_list *list, const uint8_t *bytes);

#endif
