/* The FileDescriptorSet of every .proto file here, as protoc wrote it: what an MCAP reader needs to
 * decode our messages. */
#ifndef CN_PROTO_DESCRIPTOR_H
#define CN_PROTO_DESCRIPTOR_H

#include <stddef.h>

extern const unsigned char cn_descriptor_set[];
extern const size_t cn_descriptor_set_size;

#endif
