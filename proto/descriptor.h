/* FileDescriptorSets of the .proto files here, as protoc wrote them: what an MCAP reader needs to
 * decode our messages. */
#ifndef CN_PROTO_DESCRIPTOR_H
#define CN_PROTO_DESCRIPTOR_H

#include <stddef.h>

/* robot.proto and log.proto */
extern const unsigned char cn_colonnade_descriptor_set[];
extern const size_t cn_colonnade_descriptor_set_size;

/* foxglove.proto and what it imports */
extern const unsigned char cn_foxglove_descriptor_set[];
extern const size_t cn_foxglove_descriptor_set_size;

#endif
