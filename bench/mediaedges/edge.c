/* RTP of many calls: whatever has come, decoded, into one buffer; a phase's frames, encoded, out of one.
 *
 * A measurement, not a gateway: G.711 mu-law in packets of 20 ms over IPv4; everything else is counted and dropped.
 * The caller holds the tables of the law and the pace. No call blocks. */

#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FRAME = 160, HEADER = 12, DATAGRAM = 2048, EVENTS = 512 };

typedef struct {
    int descriptor;
    int latched;
    struct sockaddr_in peer;
    uint32_t ssrc, timestamp;
    uint16_t sequence;
} call_t;

typedef struct edge {
    int epoll, calls, most;
    uint64_t dropped, refused;
    call_t *table;
    int16_t decoded[256];
    uint8_t encoded[65536];
} edge_t;

edge_t *edge_new(int most, const int16_t *decoded, const uint8_t *encoded)
{
    edge_t *edge = calloc(1, sizeof *edge);
    if (edge == NULL)
        return NULL;
    edge->table = calloc((size_t)most, sizeof *edge->table);
    edge->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (edge->table == NULL || edge->epoll < 0) {
        free(edge->table);
        free(edge);
        return NULL;
    }
    edge->most = most;
    memcpy(edge->decoded, decoded, sizeof edge->decoded);
    memcpy(edge->encoded, encoded, sizeof edge->encoded);
    return edge;
}

void edge_free(edge_t *edge)
{
    close(edge->epoll);
    free(edge->table);
    free(edge);
}

/* The call's number; -1 when there is no room or the kernel refuses. */
int edge_add(edge_t *edge, int descriptor, uint32_t ssrc)
{
    struct epoll_event wanted = {.events = EPOLLIN, .data.u32 = (uint32_t)edge->calls};
    if (edge->calls >= edge->most || epoll_ctl(edge->epoll, EPOLL_CTL_ADD, descriptor, &wanted) < 0)
        return -1;
    call_t *call = &edge->table[edge->calls];
    call->descriptor = descriptor;
    call->ssrc = ssrc;
    return edge->calls++;
}

/* RFC 3550 section 5.1: where the payload begins, and its length in *bytes; -1 for what is no RTP. */
static int payload_of(const uint8_t *data, int length, int *bytes)
{
    int start = HEADER, end = length;
    if (length < HEADER || data[0] >> 6 != 2 || (data[1] >= 192 && data[1] <= 223))
        return -1;
    start += 4 * (data[0] & 0x0F);
    if (data[0] & 0x10) {
        if (start + 4 > end)
            return -1;
        start += 4 + 4 * (data[start + 2] << 8 | data[start + 3]);
    }
    if (data[0] & 0x20) {
        if (data[length - 1] == 0)
            return -1;
        end -= data[length - 1];
    }
    if (start > end)
        return -1;
    *bytes = end - start;
    return start;
}

static int same(const struct sockaddr_in *one, const struct sockaddr_in *other)
{
    return one->sin_port == other->sin_port && one->sin_addr.s_addr == other->sin_addr.s_addr;
}

/* Up to `most` packets, one of each socket that has some: whose they are, their numbers, 160 samples each. */
int edge_receive(edge_t *edge, int most, int32_t *which, uint16_t *sequence, uint32_t *timestamp, int16_t *pcm)
{
    struct epoll_event events[EVENTS];
    uint8_t data[DATAGRAM];
    int rows = 0;
    while (rows < most) {
        int room = most - rows < EVENTS ? most - rows : EVENTS;
        int ready = epoll_wait(edge->epoll, events, room, 0);
        for (int at = 0; at < ready; at++) {
            call_t *call = &edge->table[events[at].data.u32];
            struct sockaddr_in source;
            socklen_t size = sizeof source;
            int bytes, start;
            ssize_t length =
                recvfrom(call->descriptor, data, sizeof data, MSG_DONTWAIT, (struct sockaddr *)&source, &size);
            if (length < 0)
                continue;
            start = payload_of(data, (int)length, &bytes);
            if (start < 0 || bytes != FRAME || (call->latched && !same(&source, &call->peer))) {
                edge->dropped++;
                continue;
            }
            call->peer = source;
            call->latched = 1;
            which[rows] = (int32_t)events[at].data.u32;
            sequence[rows] = (uint16_t)(data[2] << 8 | data[3]);
            timestamp[rows] = (uint32_t)data[4] << 24 | data[5] << 16 | data[6] << 8 | data[7];
            int16_t *samples = pcm + (size_t)FRAME * rows;
            for (int sample = 0; sample < FRAME; sample++)
                samples[sample] = edge->decoded[data[start + sample]];
            rows++;
        }
        if (ready < room)
            break;
    }
    return rows;
}

static void put32(uint8_t *at, uint32_t value)
{
    at[0] = value >> 24, at[1] = value >> 16, at[2] = value >> 8, at[3] = value;
}

/* A frame of each of the calls first, first + 1 ...; `pcm` has 160 samples for each. How many left.
 * What was missed of `slots` is skipped, not made up. */
int edge_send(edge_t *edge, int first, int count, int slots, const int16_t *pcm)
{
    uint8_t data[HEADER + FRAME];
    int sent = 0;
    for (int at = 0; at < count; at++) {
        call_t *call = &edge->table[first + at];
        const uint16_t *words = (const uint16_t *)pcm + (size_t)FRAME * at;
        if (!call->latched)
            continue;
        call->timestamp += FRAME * (uint32_t)(slots - 1);
        data[0] = 0x80, data[1] = 0, data[2] = call->sequence >> 8, data[3] = (uint8_t)call->sequence;
        put32(data + 4, call->timestamp);
        put32(data + 8, call->ssrc);
        for (int sample = 0; sample < FRAME; sample++)
            data[HEADER + sample] = edge->encoded[words[sample]];
        call->sequence++;
        call->timestamp += FRAME;
        if (sendto(call->descriptor, data, sizeof data, MSG_DONTWAIT, (struct sockaddr *)&call->peer,
                   sizeof call->peer) < 0)
            edge->refused++;
        else
            sent++;
    }
    return sent;
}
