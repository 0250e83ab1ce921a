/* Keys: made, kept from others, read back, and every way in which a file can be wrong. */
#include <sys/stat.h>
#include <zmq.h>

#include "base/file.h"
#include "bridge/keys.h"
#include "tests/folder.h"
#include "tests/test.h"

static cn_error err;

static const char *in(const test_folder *folder, const char *name)
{
    static char path[4][512];
    static int next;
    char *out = path[next++ % 4];
    snprintf(out, sizeof path[0], "%s/%s", folder->path, name);
    return out;
}

static void write_text(const char *path, const char *text)
{
    cn_file file;
    CN_ASSERT_OK(cn_file_begin(path, &file, &err));
    fputs(text, file.stream);
    CN_ASSERT_OK(cn_file_commit(&file, &err));
    CU_ASSERT_EQUAL(chmod(path, S_IRUSR | S_IWUSR), 0);
}

static void test_a_pair_is_read_back(void)
{
    test_folder folder = folder_create();
    cn_key own, public;
    struct stat about;
    CN_ASSERT_OK(cn_key_make(in(&folder, "robot"), &err));
    CN_ASSERT_OK(cn_key_load(in(&folder, "robot.key"), &own, &err));
    CN_ASSERT_OK(cn_key_load_public(in(&folder, "robot.pub"), &public, &err));
    CU_ASSERT_STRING_EQUAL(own.name, "robot");
    CU_ASSERT_STRING_EQUAL(public.name, "robot");
    CU_ASSERT_STRING_EQUAL(own.public_text, public.public_text);
    CU_ASSERT_EQUAL(memcmp(own.public_bytes, public.public_bytes, CN_KEY_BYTES), 0);
    CU_ASSERT_STRING_EQUAL(public.secret_text, "");
    char derived[CN_KEY_TEXT];
    CU_ASSERT_EQUAL(zmq_curve_public(derived, own.secret_text), 0);
    CU_ASSERT_STRING_EQUAL(derived, own.public_text);
    CU_ASSERT_EQUAL(stat(in(&folder, "robot.key"), &about), 0);
    CU_ASSERT_EQUAL(about.st_mode & 0777, 0600);
    folder_destroy(&folder);
}

static void test_two_pairs_differ(void)
{
    test_folder folder = folder_create();
    cn_key a, b;
    CN_ASSERT_OK(cn_key_make(in(&folder, "a"), &err));
    CN_ASSERT_OK(cn_key_make(in(&folder, "b"), &err));
    CN_ASSERT_OK(cn_key_load(in(&folder, "a.key"), &a, &err));
    CN_ASSERT_OK(cn_key_load(in(&folder, "b.key"), &b, &err));
    CU_ASSERT_STRING_NOT_EQUAL(a.public_text, b.public_text);
    folder_destroy(&folder);
}

static void test_making_refuses(void)
{
    test_folder folder = folder_create();
    CN_ASSERT_OK(cn_key_make(in(&folder, "robot"), &err));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "robot.key exists", cn_key_make(in(&folder, "robot"), &err));
    CU_ASSERT_EQUAL(remove(in(&folder, "robot.key")), 0);
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "robot.pub exists", cn_key_make(in(&folder, "robot"), &err));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "has no name for a key", cn_key_make(in(&folder, ""), &err));
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "without quotes", cn_key_make(in(&folder, "it's"), &err));
    CN_ASSERT_FAILS(CN_ERR_IO, "cannot write", cn_key_make(in(&folder, "nowhere/robot"), &err));
    folder_destroy(&folder);
}

#define A_KEY "6K7?2C><(kmKz@Gz5jbZ>:droeySa$PC/9JTNu^B"
#define B_KEY "cj8%k*WBWk9!/CEm@ZQR-:y-5V8/:uwGgH@?CiQl" /* the secret of A_KEY */

static void test_files_that_are_wrong(void)
{
    static const struct {
        bool secret;
        const char *text, *words;
    } cases[] = {
        {true, "name: a\npublic: '" A_KEY "'\n", "a.key:1: key 'secret' is missing"},
        {true, "name: a\npublic: '" A_KEY "'\nsecret: 'short'\n", "a.key:3: 'secret' is no key"},
        {true, "name: a\npublic: '" B_KEY "'\nsecret: '" B_KEY "'\n",
         "a.key:1: the public key does not go with the secret one"},
        {false, "name: a\npublic: '" A_KEY "'\nsecret: '" B_KEY "'\n",
         "a.key:3: a secret key where a public one is expected"},
        {false, "name: a\n", "a.key:1: key 'public' is missing"},
        {false, "public: '" A_KEY "'\n", "a.key:1: key 'name' is missing"},
        {false, "name: a\npublic: '" A_KEY "'\nmore: 1\n", "a.key:3: "},
        {false, "name: a0123456789012345678901234567890123456789012345678\npublic: '" A_KEY "'\n",
         "a.key:1: a name of 50 bytes"},
        {false, "\x01\x02", "a.key"},
    };
    test_folder folder = folder_create();
    cn_key key;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *path = in(&folder, "a.key");
        write_text(path, cases[i].text);
        const cn_status status =
            cases[i].secret ? cn_key_load(path, &key, &err) : cn_key_load_public(path, &key, &err);
        CU_ASSERT_EQUAL(status, CN_ERR_FORMAT);
        if (!strstr(err.message, cases[i].words))
            printf("\n    '%s' is not in: %s\n", cases[i].words, err.message);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.message, cases[i].words));
    }
    CN_ASSERT_FAILS(CN_ERR_NOT_FOUND, "b.key", cn_key_load(in(&folder, "b.key"), &key, &err));
    folder_destroy(&folder);
}

static void test_a_secret_that_others_can_read_is_none(void)
{
    test_folder folder = folder_create();
    cn_key key;
    CN_ASSERT_OK(cn_key_make(in(&folder, "robot"), &err));
    const mode_t modes[] = {0640, 0604, 0660};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        CU_ASSERT_EQUAL(chmod(in(&folder, "robot.key"), modes[i]), 0);
        CN_ASSERT_FAILS(CN_ERR_REFUSED, "can be read by others",
                        cn_key_load(in(&folder, "robot.key"), &key, &err));
    }
    folder_destroy(&folder);
}

static void test_lists(void)
{
    test_folder folder = folder_create();
    cn_key key;
    cn_key_list *list;
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, "holds no file that ends in .pub",
                    cn_key_list_load(folder.path, &list, &err));
    char name[16];
    for (int i = 0; i < 9; i++) {
        snprintf(name, sizeof name, "%d", i);
        CN_ASSERT_OK(cn_key_make(in(&folder, name), &err));
    }
    CN_ASSERT_OK(cn_key_list_load(folder.path, &list, &err));
    CU_ASSERT_EQUAL(cn_key_list_count(list), 9);
    for (int i = 0; i < 9; i++) {
        snprintf(name, sizeof name, "%d.pub", i);
        CN_ASSERT_OK(cn_key_load_public(in(&folder, name), &key, &err));
        const cn_key *found = cn_key_list_find(list, key.public_bytes);
        CU_ASSERT_PTR_NOT_NULL_FATAL(found);
        CU_ASSERT_STRING_EQUAL(found->name, key.name);
    }
    key.public_bytes[31] ^= 1;
    CU_ASSERT_PTR_NULL(cn_key_list_find(list, key.public_bytes));
    cn_key_list_destroy(&list);
    cn_key_list_destroy(&list);
    CN_ASSERT_OK(cn_key_list_load(in(&folder, "3.pub"), &list, &err));
    CU_ASSERT_EQUAL(cn_key_list_count(list), 1);
    cn_key_list_destroy(&list);
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "a secret key where a public one",
                    cn_key_list_load(in(&folder, "3.key"), &list, &err));
    CN_ASSERT_FAILS(CN_ERR_NOT_FOUND, "nobody.pub",
                    cn_key_list_load(in(&folder, "nobody.pub"), &list, &err));
    folder_destroy(&folder);
}

CN_TEST_MAIN("bridge.keys", T(test_a_pair_is_read_back), T(test_two_pairs_differ),
             T(test_making_refuses), T(test_files_that_are_wrong),
             T(test_a_secret_that_others_can_read_is_none), T(test_lists))
