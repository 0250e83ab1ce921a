/* The codec of Protocol 2.0: golden packets, stuffing, and what is not a packet. */
#include "bridge/plants/dxl.h"
#include "tests/bridge/plants/packets.h"

static void test_dxl_encodes_golden_packets(void)
{
    const cn_servo_protocol *p = &cn_dxl_protocol;
    packet_check(p, 1, CN_SERVO_PING, "", "FF FF FD 00 01 03 00 01 19 4E");
    packet_check(p, 1, CN_SERVO_READ, "84 00 04 00", "FF FF FD 00 01 07 00 02 84 00 04 00 1D 15");
    packet_check(p, 1, CN_SERVO_WRITE, "74 00 00 08 00 00",
                 "FF FF FD 00 01 09 00 03 74 00 00 08 00 00 42 89");
}

/* ROBOTIS' own example of an answer (emanual, "Read", ID 1, present position 166). */
static void test_dxl_decodes_an_answer(void)
{
    const cn_packet packet =
        packet_answer(&cn_dxl_protocol, "FF FF FD 00 01 08 00 55 00 A6 00 00 00 8C C0", 15);
    CU_ASSERT_EQUAL(packet.id, 1);
    CU_ASSERT_EQUAL(packet.error, 0);
    CU_ASSERT_EQUAL(packet.size, 4);
    CU_ASSERT_EQUAL(packet.params[0], 166);
}

/* An answer is a request whose instruction is 55 and whose first parameter is the error. */
static void check_round_trip(const uint8_t *params, size_t size)
{
    uint8_t bytes[CN_PACKET_MAX], body[CN_PACKET_PARAMS] = {0};
    cn_packet packet = {0};
    size_t used;
    memcpy(body + 1, params, size);
    const size_t whole = cn_dxl_protocol.encode(9, 0x55, body, size + 1, bytes);
    for (size_t part = 0; part < whole; part++)
        CU_ASSERT_EQUAL(cn_dxl_protocol.decode(bytes, part, &packet, &used), CN_PACKET_PARTIAL);
    CU_ASSERT_EQUAL(cn_dxl_protocol.decode(bytes, whole, &packet, &used), CN_PACKET_WHOLE);
    CU_ASSERT_EQUAL(used, whole);
    CU_ASSERT_EQUAL(packet.size, size);
    CU_ASSERT_EQUAL(memcmp(packet.params, params, size), 0);
}

static void test_dxl_stuffs_headers_in_the_body(void)
{
    uint8_t params[CN_PACKET_PARAMS - 1];
    /* As dynamixel-sdk 4.1.0 makes it. */
    packet_check(&cn_dxl_protocol, 1, CN_SERVO_WRITE, "74 00 FF FF FD 00",
                 "FF FF FD 00 01 0A 00 03 74 00 FF FF FD FD 00 21 E7");
    for (size_t i = 0; i < sizeof params; i++) /* as much stuffing as there can be */
        params[i] = i % 3 == 2 ? 0xFD : 0xFF;
    check_round_trip(params, sizeof params);
    for (size_t i = 0; i < 8; i++) /* headers, FDs and stuffing next to each other */
        for (size_t j = 0; j < 256; j++) {
            for (size_t k = 0; k < 8; k++)
                params[k] = j >> k & 1 ? 0xFD : 0xFF;
            check_round_trip(params, i + 1);
        }
}

static void test_dxl_skips_what_stands_before_a_packet(void)
{
    packet_answer(&cn_dxl_protocol, "FF FF 00 FF FF FF FD 00 01 08 00 55 00 A6 00 00 00 8C C0 FF",
                  19);
}

static void test_dxl_refuses_a_wrong_crc_an_impossible_length_and_a_request(void)
{
    static const char *const bad[] = {
        "FF FF FD 00 01 08 00 55 00 A6 00 00 00 8C C1",
        "FF FF FD 00 01 08 00 55 00 A7 00 00 00 8C C0", "FF FF FD 00 01 03 00 55 00 00",
        "FF FF FD 00 01 FF 7F 55 00 00", "FF FF FD 00 01 07 00 02 84 00 04 00 1D 15"};
    cn_packet packet;
    size_t used;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CU_ASSERT_EQUAL(packet_decode(&cn_dxl_protocol, bad[i], &packet, &used), CN_PACKET_DAMAGED);
        CU_ASSERT_TRUE(used >= 4);
        CU_ASSERT_EQUAL(packet.id, 1);
    }
}

static void test_dxl_finds_a_packet_after_rubbish(void)
{
    packet_storm(&cn_dxl_protocol, "FF FF FD 00 01 08 00 55 00 A6 00 00 00 8C C0", 1);
}

static void test_dxl_names_errors(void)
{
    CU_ASSERT_PTR_NOT_NULL(strstr(cn_dxl_protocol.error_words(4), "out of range"));
    CU_ASSERT_PTR_NOT_NULL(strstr(cn_dxl_protocol.error_words(0x80), "hardware error"));
    CU_ASSERT_STRING_EQUAL(cn_dxl_protocol.error_words(0x33), "an unknown error");
}

CN_TEST_MAIN("bridge.plants.dxl", T(test_dxl_encodes_golden_packets), T(test_dxl_decodes_an_answer),
             T(test_dxl_stuffs_headers_in_the_body), T(test_dxl_skips_what_stands_before_a_packet),
             T(test_dxl_refuses_a_wrong_crc_an_impossible_length_and_a_request),
             T(test_dxl_finds_a_packet_after_rubbish), T(test_dxl_names_errors))
