# Turns the file IN into C source OUT: cn_descriptor_set[] and cn_descriptor_set_size.
file(READ "${IN}" hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "((0x[0-9a-f][0-9a-f],)(0x[0-9a-f][0-9a-f],)?(0x[0-9a-f][0-9a-f],)?(0x[0-9a-f][0-9a-f],)?(0x[0-9a-f][0-9a-f],)?(0x[0-9a-f][0-9a-f],)?(0x[0-9a-f][0-9a-f],)?(0x[0-9a-f][0-9a-f],)?)" "\\1\n" bytes "${bytes}")
file(WRITE "${OUT}" "#include \"proto/descriptor.h\"\n
const unsigned char cn_descriptor_set[] = {\n${bytes}};
const size_t cn_descriptor_set_size = sizeof cn_descriptor_set;\n")
