/* safetensors: round trips, every refusal, and files exchanged with the safetensors package. */
#include "tensor/safetensors.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/test.h"

/* ---- A folder for the files of one test. ---- */

static char folder[64];

static const char *in_folder(const char *name)
{
    static char path[256];
    if (!folder[0]) {
        strcpy(folder, "/tmp/cn_safetensors_XXXXXX");
        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    }
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void remove_folder(void)
{
    if (folder[0])
        CU_ASSERT_EQUAL(rmdir(folder), 0); /* also: no temporary file is left behind */
    folder[0] = '\0';
}

/* ---- Files made by hand. ---- */

/* Parses header + data_size zero bytes; the length field can be told to lie. */
static cn_status parse_parts(const char *header, size_t header_size, uint64_t claimed,
                             size_t data_size, cn_safetensors **out, cn_error *err)
{
    const size_t size = 8 + header_size + data_size;
    unsigned char *bytes = calloc(1, size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(claimed >> (8 * i) & 0xff);
    memcpy(bytes + 8, header, header_size);
    const cn_status status = cn_safetensors_parse("file", bytes, size, out, err);
    free(bytes);
    return status;
}

static void refused(const char *words, const char *header, size_t data_size)
{
    cn_error err = {0};
    cn_safetensors *file = NULL;
    CN_ASSERT_FAILS(CN_ERR_FORMAT, words,
                    parse_parts(header, strlen(header), strlen(header), data_size, &file, &err));
    CU_ASSERT_PTR_NULL(file);
}

static void accepted(const char *header, size_t data_size, int count)
{
    cn_error err = {0};
    cn_safetensors *file;
    CN_ASSERT_OK(parse_parts(header, strlen(header), strlen(header), data_size, &file, &err));
    CU_ASSERT_EQUAL(cn_safetensors_count(file), count);
    cn_safetensors_close(&file);
}

#define TENSOR(name, shape, begin, end)                                                            \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"

static void test_refuses_a_file_of_less_than_8_bytes(void)
{
    cn_error err = {0};
    cn_safetensors *file;
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "file: 7 bytes are no safetensors file",
                    cn_safetensors_parse("file", "\0\0\0\0\0\0\0", 7, &file, &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "0 bytes", cn_safetensors_parse("file", NULL, 0, &file, &err));
    CU_ASSERT_EQUAL(cn_safetensors_parse("file", "", 0, &file, NULL), CN_ERR_FORMAT);
}

static void test_refuses_a_header_that_is_too_long(void)
{
    cn_error err = {0};
    cn_safetensors *file;
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "header of 100000001 bytes, at most 100000000",
                    parse_parts("{}", 2, 100000001, 0, &file, &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "header of 18446744073709551615 bytes",
                    parse_parts("{}", 2, UINT64_MAX, 0, &file, &err));
}

static void test_refuses_a_header_past_the_end(void)
{
    cn_error err = {0};
    cn_safetensors *file;
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "header of 3 bytes, but only 2 follow",
                    parse_parts("{}", 2, 3, 0, &file, &err));
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "header of 100000000 bytes, but only 2 follow",
                    parse_parts("{}", 2, 100000000, 0, &file, &err));
}

static void test_refuses_a_header_that_does_not_start_with_a_brace(void)
{
    refused("does not start with '{'", "", 0);
    refused("does not start with '{'", " {}", 0);
    refused("does not start with '{'", "[]", 0);
}

static void test_refuses_what_is_not_json(void)
{
    cn_error err = {0};
    cn_safetensors *file;
    refused("not valid JSON", "{", 0);
    refused("not valid JSON", "{} {}", 0);
    refused("not valid JSON", "{\"a\":1,}", 0);
    refused("not valid JSON", "{\"\xff\":{}}", 0); /* not UTF-8 */
    refused("not valid JSON", "{\"a\\u0000b\":{}}", 0);
    CN_ASSERT_FAILS(CN_ERR_FORMAT, "not valid JSON", parse_parts("{}\0", 3, 3, 0, &file, &err));
}

static void test_refuses_duplicate_keys(void)
{
    refused("duplicate", "{" TENSOR("a", "[1]", 0, 4) "," TENSOR("a", "[1]", 4, 8) "}", 8);
    refused("duplicate", "{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0);
    refused("duplicate", "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 0);
}

static void test_refuses_gaps_and_overlaps(void)
{
    refused("bytes 4 to 8 before tensor 'b' belong to no tensor",
            "{" TENSOR("a", "[1]", 0, 4) "," TENSOR("b", "[1]", 8, 12) "}", 12);
    refused("bytes 0 to 4 before tensor 'a'", "{" TENSOR("a", "[1]", 4, 8) "}", 8);
    refused("starts at byte 4 and overlaps the one before it, which ends at 8",
            "{" TENSOR("a", "[2]", 0, 8) "," TENSOR("b", "[1]", 4, 8) "}", 8);
    refused("overlaps", "{" TENSOR("a", "[1]", 0, 4) "," TENSOR("b", "[1]", 0, 4) "}", 4);
}

static void test_refuses_sizes_that_do_not_match(void)
{
    refused("'a' needs 8 bytes by shape and dtype, its data_offsets span 4",
            "{" TENSOR("a", "[2]", 0, 4) "}", 4);
    refused("needs data_offsets", "{" TENSOR("a", "[1]", 4, 0) "}", 4);
}

static void test_refuses_sizes_that_overflow(void)
{
    refused("size of tensor 'a' overflows", "{" TENSOR("a", "[4294967296,4294967296]", 0, 0) "}",
            0);
    refused("size of tensor 'a' overflows", "{" TENSOR("a", "[4611686018427387904,4]", 0, 0) "}",
            0);
    refused("size of tensor 'a' overflows", "{" TENSOR("a", "[4294967296,4294967296,0]", 0, 0) "}",
            0);
    refused("not valid JSON", "{" TENSOR("a", "[9223372036854775808]", 0, 0) "}", 0);
}

static void test_refuses_data_of_another_length(void)
{
    refused("end at byte 4, the data has 5 bytes", "{" TENSOR("a", "[1]", 0, 4) "}", 5);
    refused("end at byte 4, the data has 3 bytes", "{" TENSOR("a", "[1]", 0, 4) "}", 3);
    refused("end at byte 0, the data has 1 bytes", "{}", 1);
}

static void test_refuses_fields_that_are_missing_or_wrong(void)
{
    refused("'a' has no dtype", "{\"a\":{\"shape\":[],\"data_offsets\":[0,4]}}", 4);
    refused("'a' has no dtype", "{\"a\":7}", 0);
    refused("dtype 'F8', which is not known",
            "{\"a\":{\"dtype\":\"F8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1);
    refused("'a' needs a shape", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4);
    refused("'a' needs a shape", "{" TENSOR("a", "[-1]", 0, 4) "}", 4);
    refused("'a' needs a shape", "{" TENSOR("a", "[1.0]", 0, 4) "}", 4);
    refused("at most 8 sizes", "{" TENSOR("a", "[1,1,1,1,1,1,1,1,1]", 0, 4) "}", 4);
    refused("needs data_offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}", 4);
    refused("needs data_offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0]}}",
            4);
    refused("needs data_offsets", "{" TENSOR("a", "[]", -4, 0) "}", 4);
    refused("__metadata__ is not a map", "{\"__metadata__\":[]}", 0);
    refused("metadata 'k' is not a text", "{\"__metadata__\":{\"k\":1}}", 0);
}

static void test_accepts_scalars_empty_tensors_and_any_order(void)
{
    accepted("{}", 0, 0);
    accepted("{}      ", 0, 0);
    accepted("{\"__metadata__\":{}}", 0, 0);
    accepted("{" TENSOR("scalar", "[]", 0, 4) "}", 4, 1);
    accepted("{" TENSOR("empty", "[0,3]", 0, 0) "}", 0, 1);
    accepted("{" TENSOR("b", "[1]", 4, 8) "," TENSOR("none", "[0]", 4, 4) "," TENSOR("a", "[1]", 0,
                                                                                     4) "}",
             8, 3);
    accepted("{" TENSOR("a", "[1,1,1,1,1,1,1,1]", 0, 4) "}", 4, 1);
}

/* ---- Round trips. ---- */

static const float floats[6] = {0.0f, -1.5f, 3.25f, 1e-40f, 3e38f, -0.0f};
static const double doubles[2] = {1.0 / 3.0, -2e300};
static const int64_t integers[3] = {INT64_MIN, 0, INT64_MAX};
static const uint64_t wide = UINT64_MAX;
static const unsigned char flags[3] = {1, 0, 1};

/* The same five tensors that peer_safetensors.py knows. */
static const cn_tensor_view tensors[] = {
    {"flags", CN_BOOL, 1, {3}, flags, sizeof flags},
    {"floats", CN_F32, 2, {2, 3}, floats, sizeof floats},
    {"doubles", CN_F64, 3, {1, 2, 1}, doubles, sizeof doubles},
    {"integers", CN_I64, 1, {3}, integers, sizeof integers},
    {"wide", CN_U64, 0, {0}, &wide, sizeof wide},
    {"empty", CN_F32, 2, {0, 4}, NULL, 0},
};
#define TENSORS ((int)(sizeof tensors / sizeof tensors[0]))

static const cn_metadata_entry metadata[] = {
    {"task", "reach \"the\" cup"}, {"words", "gr\xc3\xbc\xc3\x9f dich\n"}, {"empty", ""}};

static void write_all(const char *path)
{
    cn_error err = {0};
    CN_ASSERT_OK(cn_safetensors_write(path, tensors, TENSORS, metadata, 3, &err));
}

static void check_all(const char *path)
{
    cn_error err = {0};
    cn_safetensors *file;
    CN_ASSERT_OK(cn_safetensors_open(path, &file, &err));
    CU_ASSERT_EQUAL(cn_safetensors_count(file), TENSORS);
    for (int i = 0; i < TENSORS; i++) {
        const cn_tensor_view *want = &tensors[i], *got = cn_safetensors_find(file, want->name);
        CU_ASSERT_PTR_NOT_NULL_FATAL(got);
        CU_ASSERT_EQUAL(got->dtype, want->dtype);
        CU_ASSERT_EQUAL_FATAL(got->rank, want->rank);
        for (int k = 0; k < want->rank; k++)
            CU_ASSERT_EQUAL(got->shape[k], want->shape[k]);
        CU_ASSERT_EQUAL_FATAL(got->bytes, want->bytes);
        CU_ASSERT_TRUE(want->bytes == 0 || memcmp(got->data, want->data, want->bytes) == 0);
    }
    for (int i = 0; i < 3; i++) {
        const char *value = cn_safetensors_metadata(file, metadata[i].key);
        CU_ASSERT_PTR_NOT_NULL_FATAL(value);
        CU_ASSERT_STRING_EQUAL(value, metadata[i].value);
    }
    CU_ASSERT_PTR_NULL(cn_safetensors_find(file, "nobody"));
    CU_ASSERT_PTR_NULL(cn_safetensors_find(file, "__metadata__"));
    CU_ASSERT_PTR_NULL(cn_safetensors_metadata(file, "nobody"));
    CU_ASSERT_PTR_NULL(cn_safetensors_at(file, TENSORS));
    CU_ASSERT_PTR_NULL(cn_safetensors_at(file, -1));
    cn_safetensors_close(&file);
    CU_ASSERT_PTR_NULL(file);
    cn_safetensors_close(&file);
}

static void test_round_trip(void)
{
    const char *path = in_folder("round.safetensors");
    write_all(path);
    check_all(path);
    remove(path);
    remove_folder();
}

/* In the file and, because malloc aligns to 16, in memory. */
static void test_written_data_is_aligned(void)
{
    cn_error err = {0};
    const char *path = in_folder("aligned.safetensors");
    write_all(path);
    cn_safetensors *file;
    CN_ASSERT_OK(cn_safetensors_open(path, &file, &err));
    for (int i = 0; i < TENSORS; i++) {
        const cn_tensor_view *t = cn_safetensors_at(file, i);
        const uintptr_t width = t->dtype == CN_BOOL ? 1 : t->dtype == CN_F32 ? 4 : 8;
        CU_ASSERT_EQUAL((uintptr_t)t->data % width, 0);
    }
    CU_ASSERT_EQUAL((uintptr_t)cn_safetensors_at(file, 0)->data % 8, 0);
    cn_safetensors_close(&file);
    remove(path);
    remove_folder();
}

static void test_metadata_is_absent_when_none_is_given(void)
{
    cn_error err = {0};
    const char *path = in_folder("bare.safetensors");
    CN_ASSERT_OK(cn_safetensors_write(path, tensors, 1, NULL, 0, &err));
    cn_safetensors *file;
    CN_ASSERT_OK(cn_safetensors_open(path, &file, &err));
    CU_ASSERT_PTR_NULL(cn_safetensors_metadata(file, "task"));
    cn_safetensors_close(&file);
    remove(path);
    remove_folder();
}

/* ---- Mistakes of the caller, and of the disk. ---- */

static void write_refused(const char *words, const cn_tensor_view *views, int count,
                          const cn_metadata_entry *entries, int entry_count)
{
    cn_error err = {0};
    const char *path = in_folder("refused.safetensors");
    CN_ASSERT_FAILS(CN_ERR_ARGUMENT, words,
                    cn_safetensors_write(path, views, count, entries, entry_count, &err));
    CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
}

static void test_write_refuses_mistakes(void)
{
    const cn_tensor_view good = {"w", CN_F32, 1, {2}, floats, 8};
    cn_tensor_view bad[2] = {good, good};
    write_refused("tensor 'w' is given twice", bad, 2, NULL, 0);
    bad[1] = (cn_tensor_view){"v", CN_F32, 1, {2}, floats, 7};
    write_refused("'v' needs 8 bytes by shape and dtype, 7 were given", bad, 2, NULL, 0);
    bad[1] = (cn_tensor_view){"v", CN_F32, 1, {-2}, floats, 8};
    write_refused("'v' has a negative size", bad, 2, NULL, 0);
    bad[1] = (cn_tensor_view){"v", CN_F32, 2, {INT64_MAX, INT64_MAX}, floats, 8};
    write_refused("or one that overflows", bad, 2, NULL, 0);
    bad[1] = (cn_tensor_view){"v", CN_F32, 9, {1}, floats, 4};
    write_refused("rank 9, 0 to 8", bad, 2, NULL, 0);
    bad[1] = (cn_tensor_view){"v", (cn_dtype)99, 1, {2}, floats, 8};
    write_refused("no dtype 99", bad, 2, NULL, 0);
    bad[1] = (cn_tensor_view){"__metadata__", CN_F32, 1, {2}, floats, 8};
    write_refused("no tensor may be named '__metadata__'", bad, 2, NULL, 0);
    bad[1] = (cn_tensor_view){"\xff", CN_F32, 1, {2}, floats, 8};
    write_refused("not UTF-8", bad, 2, NULL, 0);
    const cn_metadata_entry twice[2] = {{"k", "1"}, {"k", "2"}}, wrong[1] = {{"k", "\xff"}};
    write_refused("metadata 'k' is given twice", &good, 1, twice, 2);
    write_refused("metadata 'k' is given twice or is not UTF-8", &good, 1, wrong, 1);
    remove_folder();
}

static void test_failed_write_leaves_the_old_file(void)
{
    cn_error err = {0};
    const char *path = in_folder("kept.safetensors");
    write_all(path);
    const cn_tensor_view bad = {"v", CN_F32, 1, {2}, floats, 7};
    CU_ASSERT_EQUAL(cn_safetensors_write(path, &bad, 1, NULL, 0, &err), CN_ERR_ARGUMENT);
    check_all(path);
    remove(path);
    CN_ASSERT_FAILS(CN_ERR_IO, "nowhere",
                    cn_safetensors_write("/nowhere/a", tensors, 1, NULL, 0, &err));
    remove_folder();
}

static void test_open_names_the_path(void)
{
    cn_error err = {0};
    cn_safetensors *file;
    const char *path = in_folder("missing.safetensors");
    CN_ASSERT_FAILS(CN_ERR_NOT_FOUND, path, cn_safetensors_open(path, &file, &err));
    CU_ASSERT_PTR_NULL(file);
    FILE *f = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs("short", f);
    fclose(f);
    CN_ASSERT_FAILS(CN_ERR_FORMAT, path, cn_safetensors_open(path, &file, &err));
    remove(path);
    remove_folder();
}

/* Every prefix of a good file and every flipped bit of its header: refused or accepted, never a
 * crash (the sanitizers watch). Prefixes are always refused. */
static void test_damaged_files_do_no_harm(void)
{
    cn_error err = {0};
    const char *path = in_folder("damaged.safetensors");
    write_all(path);
    char *bytes;
    size_t size;
    CN_ASSERT_OK(cn_file_read(path, &bytes, &size, &err));
    cn_safetensors *file;
    for (size_t cut = 0; cut < size; cut++)
        CU_ASSERT_EQUAL(cn_safetensors_parse("cut", bytes, cut, &file, &err), CN_ERR_FORMAT);
    int accepted_count = 0;
    for (size_t i = 0; i < (size - 64) * 8; i++) {
        bytes[i / 8] = (char)(bytes[i / 8] ^ 1 << i % 8);
        accepted_count += cn_safetensors_parse("flipped", bytes, size, &file, &err) == CN_OK;
        cn_safetensors_close(&file);
        bytes[i / 8] = (char)(bytes[i / 8] ^ 1 << i % 8);
    }
    CU_ASSERT_TRUE(accepted_count > 0); /* letters of names and metadata may change */
    free(bytes);
    remove(path);
    remove_folder();
}

/* ---- The safetensors package itself. ---- */

static void run_peer(const char *verb, const char *path)
{
    char command[1024];
    snprintf(command, sizeof command, "'%s' '%s/tests/tensor/peer_safetensors.py' %s '%s'",
             CN_PYTHON, CN_SOURCE_DIR, verb, path);
    const int failure = system(command);
    if (failure)
        printf("\n    failed (run ./dev setup for the Python): %s\n", command);
    CU_ASSERT_EQUAL_FATAL(failure, 0);
}

static void test_python_reads_ours(void)
{
    const char *path = in_folder("ours.safetensors");
    write_all(path);
    run_peer("check", path);
    remove(path);
    remove_folder();
}

static void test_we_read_pythons(void)
{
    const char *path = in_folder("theirs.safetensors");
    run_peer("write", path);
    check_all(path);
    remove(path);
    remove_folder();
}

CN_TEST_MAIN("tensor.safetensors", T(test_refuses_a_file_of_less_than_8_bytes),
             T(test_refuses_a_header_that_is_too_long), T(test_refuses_a_header_past_the_end),
             T(test_refuses_a_header_that_does_not_start_with_a_brace),
             T(test_refuses_what_is_not_json), T(test_refuses_duplicate_keys),
             T(test_refuses_gaps_and_overlaps), T(test_refuses_sizes_that_do_not_match),
             T(test_refuses_sizes_that_overflow), T(test_refuses_data_of_another_length),
             T(test_refuses_fields_that_are_missing_or_wrong),
             T(test_accepts_scalars_empty_tensors_and_any_order), T(test_round_trip),
             T(test_written_data_is_aligned), T(test_metadata_is_absent_when_none_is_given),
             T(test_write_refuses_mistakes), T(test_failed_write_leaves_the_old_file),
             T(test_open_names_the_path), T(test_damaged_files_do_no_harm),
             T(test_python_reads_ours), T(test_we_read_pythons))
