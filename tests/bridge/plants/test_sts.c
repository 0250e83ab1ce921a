/* The STS codec: golden packets, and what is not one. */
#include "bridge/plants/sts.h"
#include "tests/bridge/plants/packets.h"

static void test_sts_encodes_golden_packets(void)
{
    const cn_servo_protocol *p = &cn_sts_protocol;
    packet_check(p, 1, CN_SERVO_PING, "", "FF FF 01 02 01 FB");
    packet_check(p, 1, CN_SERVO_READ, "38 02", "FF FF 01 04 02 38 02 BE");
    packet_check(p, 1, CN_SERVO_WRITE, "2A 00 08", "FF FF 01 05 03 2A 00 08 C4");
    packet_check(p, CN_SERVO_ALL, CN_SERVO_SYNC_READ, "38 02 01 02 03 04 05 06",
                 "FF FF FE 0A 82 38 02 01 02 03 04 05 06 26");
}

static void test_sts_decodes_golden_answer(void)
{
    const cn_packet packet = packet_answer(&cn_sts_protocol, "FF FF 01 04 00 00 08 F2", 8);
    CU_ASSERT_EQUAL(packet.id, 1);
    CU_ASSERT_EQUAL(packet.error, 0);
    CU_ASSERT_EQUAL(packet.size, 2);
    CU_ASSERT_EQUAL(cn_sts_signed((unsigned)(packet.params[0] | packet.params[1] << 8), 15), 2048);
}

static void test_sts_skips_what_stands_before_a_packet(void)
{
    const cn_packet packet =
        packet_answer(&cn_sts_protocol, "00 FF 13 FF FF FF 01 04 00 00 08 F2 FF", 12);
    CU_ASSERT_EQUAL(packet.id, 1);
}

static void test_sts_waits_for_half_a_packet(void)
{
    static const char *const parts[] = {"",         "FF",          "FF FF",
                                        "FF FF 01", "FF FF 01 04", "FF FF 01 04 00 00 08"};
    cn_packet packet;
    size_t used;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        CU_ASSERT_EQUAL(packet_decode(&cn_sts_protocol, parts[i], &packet, &used),
                        CN_PACKET_PARTIAL);
        CU_ASSERT_EQUAL(used, 0);
    }
}

static void test_sts_refuses_a_wrong_checksum_and_an_impossible_length(void)
{
    static const char *const bad[] = {"FF FF 01 04 00 00 08 F3", "FF FF 01 04 00 01 08 F2",
                                      "FF FF 01 01 00 FD", "FF FF 01 FF 00 00"};
    cn_packet packet;
    size_t used;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CU_ASSERT_EQUAL(packet_decode(&cn_sts_protocol, bad[i], &packet, &used), CN_PACKET_DAMAGED);
        CU_ASSERT_EQUAL(used, 2);
        CU_ASSERT_EQUAL(packet.id, 1);
    }
}

static void test_sts_finds_a_packet_after_rubbish(void)
{
    packet_storm(&cn_sts_protocol, "FF FF 07 04 00 00 08 EC", 7);
}

static void test_sts_registers_hold_sign_and_magnitude(void)
{
    CU_ASSERT_EQUAL(cn_sts_signed(0x0800, 15), 2048);
    CU_ASSERT_EQUAL(cn_sts_signed(0x8005, 15), -5);
    CU_ASSERT_EQUAL(cn_sts_signed(0x8000, 15), 0);
    CU_ASSERT_EQUAL(cn_sts_signed(0x0405, 10), -5);
    CU_ASSERT_EQUAL(cn_sts_signed(0x03E8, 10), 1000);
    CU_ASSERT_EQUAL(cn_sts_signed(0x0864, 11), -100);
    static const int bits[] = {10, 11, 15};
    for (size_t b = 0; b < sizeof bits / sizeof bits[0]; b++)
        for (int value = 1 - (1 << bits[b]); value < 1 << bits[b]; value++)
            CU_ASSERT_EQUAL(cn_sts_signed(cn_sts_unsigned(value, bits[b]), bits[b]), value);
}

static void test_sts_names_errors(void)
{
    CU_ASSERT_STRING_EQUAL(cn_sts_protocol.error_words(4), "overheating");
    CU_ASSERT_STRING_EQUAL(cn_sts_protocol.error_words(32), "overload");
    CU_ASSERT_STRING_EQUAL(cn_sts_protocol.error_words(0x40), "an unknown error");
}

CN_TEST_MAIN("bridge.plants.sts", T(test_sts_encodes_golden_packets),
             T(test_sts_decodes_golden_answer), T(test_sts_skips_what_stands_before_a_packet),
             T(test_sts_waits_for_half_a_packet),
             T(test_sts_refuses_a_wrong_checksum_and_an_impossible_length),
             T(test_sts_finds_a_packet_after_rubbish),
             T(test_sts_registers_hold_sign_and_magnitude), T(test_sts_names_errors))
