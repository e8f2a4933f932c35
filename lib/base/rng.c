/* Clock, counter-based random numbers (Philox 4x32-10, Salmon et al., SC 2011), hashing. */
#include "base/base.h"

#include <sha1.h>
#include <sha256.h>
#include <time.h>

int64_t mc_clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void mc_rng_block(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t out[4])
{
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    uint32_t c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32), c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
    for (int i = 0; i < 10; i++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        const uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

static uint64_t mix(uint64_t h)
{
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdu;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53u;
    return h ^ (h >> 33);
}

uint64_t mc_hash64(const void *data, size_t bytes, uint64_t seed)
{
    const uint8_t *p = data;
    uint64_t h = seed ^ (bytes * 0x9e3779b97f4a7c15u), w;
    for (; bytes >= 8; bytes -= 8, p += 8) {
        memcpy(&w, p, 8);
        h = mix(h ^ w) + 0x9e3779b97f4a7c15u;
    }
    w = 0;
    if (bytes) memcpy(&w, p, bytes);
    return mix(h ^ w);
}

static void put_hex(const uint8_t *digest, int n, char *out)
{
    for (int i = 0; i < n; i++) {
        out[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    out[2 * n] = 0;
}

void mc_sha1_hex(const void *data, uint64_t bytes, char out[41])
{
    SHA1_CTX ctx;
    uint8_t digest[SHA1_DIGEST_LENGTH];
    const uint8_t *p = data;
    SHA1Init(&ctx);
    for (; bytes > 0;) {
        const size_t n = bytes > (1u << 30) ? (1u << 30) : (size_t)bytes;
        SHA1Update(&ctx, p, n);
        p += n;
        bytes -= n;
    }
    SHA1Final(digest, &ctx);
    put_hex(digest, SHA1_DIGEST_LENGTH, out);
}

int32_t mc_sha256_hex(const void *data, uint64_t bytes, char out[65])
{
    SHA2_CTX ctx;
    uint8_t digest[SHA256_DIGEST_LENGTH];
    const uint8_t *p = data;
    SHA256Init(&ctx);
    for (; bytes > 0;) {
        const size_t n = bytes > (1u << 30) ? (1u << 30) : (size_t)bytes;
        SHA256Update(&ctx, p, n);
        p += n;
        bytes -= n;
    }
    SHA256Final(digest, &ctx);
    put_hex(digest, SHA256_DIGEST_LENGTH, out);
    return MCOMP_OK;
}
