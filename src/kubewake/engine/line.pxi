# The walker of `tally`: takes a line apart, as strict, compact, printable ASCII JSON.
#
# A page of lines is marked first: a bit for each byte that matters, so that the walker goes from quote to quote.

from libc.stdlib cimport calloc, free, malloc

cdef extern from *:
    """
    /* Sets bit i of `quotes` where byte i of the page is a quote or a backslash, and of `odd` where it is no printable
       ASCII, 64 bytes to a word. Any compiler can make vectors of the loops; only gathering the bits of a vector in a
       word has no portable name, so that x86-64, which has an instruction for it, has its own ways. */
    #include <stdint.h>
    #include <string.h>
    #if defined(__SSE2__)
    #include <immintrin.h>
    static void kw_mark_64(const uint8_t *p, uint64_t *quotes, uint64_t *odd) {
        const __m128i quote = _mm_set1_epi8(34), slash = _mm_set1_epi8(92), space = _mm_set1_epi8(32);
        uint64_t quoted = 0, strange = 0;
        for (int at = 0; at < 64; at += 16) {
            __m128i bytes = _mm_loadu_si128((const __m128i *)(p + at));
            __m128i marked = _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, slash));
            quoted |= (uint64_t)(unsigned)_mm_movemask_epi8(marked) << at;
            /* As signed numbers bytes from 128 on are below a space too. */
            strange |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmplt_epi8(bytes, space)) << at;
        }
        *quotes = quoted;
        *odd = strange;
    }
    #else
    static uint64_t kw_bits(const uint8_t *flags) {
        uint64_t found = 0, eight;
        for (int at = 0; at < 64; at += 8) {
            memcpy(&eight, flags + at, 8);
            /* Each flag is a bit of its own, wherever its byte stands: their sum is the top byte of the product. */
            found |= ((eight * 0x0101010101010101u) >> 56) << at;
        }
        return found;
    }
    static void kw_mark_64(const uint8_t *p, uint64_t *quotes, uint64_t *odd) {
        static const uint8_t flag[8] = {1, 2, 4, 8, 16, 32, 64, 128};
        uint8_t marked[64], strange[64], any = 0;
        for (int at = 0; at < 64; at++) {
            uint8_t byte = p[at], bit = flag[at & 7];
            marked[at] = (byte == 34 || byte == 92) ? bit : 0;
            strange[at] = (byte < 32 || byte > 127) ? bit : 0;
            any |= strange[at];
        }
        *quotes = kw_bits(marked);
        *odd = any ? kw_bits(strange) : 0;
    }
    #endif
    #if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
    #define KW_WIDE __builtin_cpu_supports("avx2")
    __attribute__((target("avx2"))) static size_t kw_mark_wide(
        const uint8_t *p, size_t length, uint64_t *quotes, uint64_t *odd
    ) {
        const __m256i quote = _mm256_set1_epi8(34), slash = _mm256_set1_epi8(92), space = _mm256_set1_epi8(32);
        size_t at = 0;
        for (; at + 64 <= length; at += 64) {
            uint64_t quoted = 0, strange = 0;
            for (int half = 0; half < 64; half += 32) {
                __m256i bytes = _mm256_loadu_si256((const __m256i *)(p + at + half));
                __m256i marked = _mm256_or_si256(_mm256_cmpeq_epi8(bytes, quote), _mm256_cmpeq_epi8(bytes, slash));
                quoted |= (uint64_t)(uint32_t)_mm256_movemask_epi8(marked) << half;
                strange |= (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpgt_epi8(space, bytes)) << half;
            }
            *quotes++ = quoted;
            *odd++ = strange;
        }
        return at;
    }
    #else
    #define KW_WIDE 0
    #define kw_mark_wide(p, length, quotes, odd) 0
    #endif
    static void kw_mark(const uint8_t *p, size_t length, uint64_t *quotes, uint64_t *odd) {
        size_t at = KW_WIDE ? kw_mark_wide(p, length, quotes, odd) : 0;
        uint8_t rest[64] = {0};
        for (; at + 64 <= length; at += 64)
            kw_mark_64(p + at, quotes + at / 64, odd + at / 64);
        memcpy(rest, p + at, length - at);
        kw_mark_64(rest, quotes + at / 64, odd + at / 64);
        /* Searches end behind the last byte at the latest. */
        quotes[at / 64] |= (uint64_t)1 << (length - at);
    }
    #if defined(__GNUC__) || defined(__clang__)
    #define kw_lowest(word) __builtin_ctzll(word)
    #else
    static int kw_lowest(uint64_t word) {
        int at = 0;
        for (; !(word & 1); word >>= 1)
            at++;
        return at;
    }
    #endif
    static size_t kw_next(const uint64_t *marks, size_t at) {
        uint64_t word = marks[at / 64] >> (at % 64);
        if (word)
            return at + kw_lowest(word);
        for (at /= 64; !marks[++at];);
        return at * 64 + kw_lowest(marks[at]);
    }
    """
    void mark "kw_mark"(const uint8_t* p, size_t length, uint64_t* quotes, uint64_t* odd) noexcept nogil
    size_t next_mark "kw_next"(const uint64_t* marks, size_t at) noexcept nogil


cdef enum:
    DEEPEST = 64  # nesting that is walked; an API server's own events have some ten levels
    MAX_USERS = 20000  # users remembered; when there are more, all are forgotten
    USER_SLOTS = 65536
    USER_BYTES = 2048  # longest user that is remembered, as JSON
    START_BYTES = 47  # of `START`

cdef const char* START = b'{"kind":"Event","apiVersion":"audit.k8s.io/v1",'


ctypedef const uint8_t* Text


cdef struct Page:
    Text start
    Text end  # of the line that is walked
    uint64_t* quotes
    uint64_t* odd
    Users* users


cdef struct User:
    uint64_t digest
    uint64_t number
    Py_ssize_t length
    uint8_t text[1]


cdef struct Users:  # that lines named, as they stood there: half of a line, and the same in many
    User** slots
    int count
    uint64_t seed
    uint64_t last_number  # none is given twice


cdef struct Span:
    Text at
    Py_ssize_t length


cdef struct Line:
    Span level, audit_id, stage, uri, verb, user, impersonated, sources, agent
    Span resource, subresource, api_group, namespace, name
    Span code, message, decision, reason, manual, autogenerated
    Span received, time
    Span request_body, response_body
    uint64_t user_number  # of the user, where it is one that is remembered; else 0
    bint has_ref, has_status, has_annotations
    bint has_other_annotations  # than those that go into the line


cdef inline bint is_digit(uint8_t c) noexcept nogil:
    return c >= 48 and c <= 57


cdef inline bint is_hex(uint8_t c) noexcept nogil:
    return is_digit(c) or (c >= 97 and c <= 102) or (c >= 65 and c <= 70)


cdef inline Text string_end(Text p, Page* page) noexcept nogil:
    """The closing quote of a string that begins behind its opening one at `p`; NULL where it is no sound string."""
    cdef Text end = page.end
    while True:
        p = page.start + next_mark(page.quotes, p - page.start)
        if p >= end:
            return NULL
        if p[0] == 34:
            return p
        if p + 1 >= end:
            return NULL
        p += 1
        if p[0] == 117:  # u
            if p + 4 >= end or not (is_hex(p[1]) and is_hex(p[2]) and is_hex(p[3]) and is_hex(p[4])):
                return NULL
            if (p[1] == 100 or p[1] == 68) and p[2] >= 56:  # half of a surrogate pair
                return NULL
            p += 5
        elif p[0] in (34, 92, 47, 98, 102, 110, 114, 116):
            p += 1
        else:
            return NULL


cdef inline Text number_end(Text p, Page* page) noexcept nogil:
    cdef Text end = page.end
    if p < end and p[0] == 45:
        p += 1
    if p >= end or not is_digit(p[0]):
        return NULL
    if p[0] == 48:
        p += 1
    else:
        while p < end and is_digit(p[0]):
            p += 1
    if p < end and p[0] == 46:
        p += 1
        if p >= end or not is_digit(p[0]):
            return NULL
        while p < end and is_digit(p[0]):
            p += 1
    if p < end and (p[0] == 101 or p[0] == 69):
        p += 1
        if p < end and (p[0] == 43 or p[0] == 45):
            p += 1
        if p >= end or not is_digit(p[0]):
            return NULL
        while p < end and is_digit(p[0]):
            p += 1
    return p


cdef Text value_end(Text p, Page* page) noexcept nogil:
    """Behind the JSON value at `p`; NULL where it is no sound compact JSON."""
    cdef Text end = page.end
    cdef uint8_t closing[DEEPEST]
    cdef int depth = 0
    while True:
        # a value
        if p >= end:
            return NULL
        if p[0] == 34:
            p = string_end(p + 1, page)
            if p == NULL:
                return NULL
            p += 1
        elif p[0] == 123 or p[0] == 91:  # { [
            if p + 1 >= end or depth >= DEEPEST:
                return NULL
            if p[1] == p[0] + 2:
                p += 2
            else:
                closing[depth] = p[0] + 2
                depth += 1
                p += 1
                if closing[depth - 1] == 125:
                    p = key_end(p, page)
                    if p == NULL:
                        return NULL
                continue
        elif p[0] == 116:
            if end - p < 4 or memcmp(p, b"true", 4) != 0:
                return NULL
            p += 4
        elif p[0] == 102:
            if end - p < 5 or memcmp(p, b"false", 5) != 0:
                return NULL
            p += 5
        elif p[0] == 110:
            if end - p < 4 or memcmp(p, b"null", 4) != 0:
                return NULL
            p += 4
        else:
            p = number_end(p, page)
            if p == NULL:
                return NULL
        # what comes behind it
        while depth and p < end and p[0] == closing[depth - 1]:
            depth -= 1
            p += 1
        if not depth:
            return p
        if p >= end or p[0] != 44:
            return NULL
        p += 1
        if closing[depth - 1] == 125:
            p = key_end(p, page)
            if p == NULL:
                return NULL


cdef inline Text key_end(Text p, Page* page) noexcept nogil:
    """Behind `"key":`."""
    cdef Text end = page.end
    if p >= end or p[0] != 34:
        return NULL
    p = string_end(p + 1, page)
    if p == NULL or p + 1 >= end or p[1] != 58:
        return NULL
    return p + 2


cdef inline bint text_at(Text p, Page* page, Span* found) noexcept nogil:
    """The string at `p`, with its quotes, as a span; False where there is none."""
    cdef Text end = page.end
    cdef Text stop
    if p >= end or p[0] != 34:
        return False
    stop = string_end(p + 1, page)
    if stop == NULL:
        return False
    found.at, found.length = p, stop + 1 - p
    return True


cdef inline bint text_or_null(Text p, Page* page, Span* found) noexcept nogil:
    cdef Text end = page.end
    if end - p >= 4 and memcmp(p, b"null", 4) == 0:
        found.at, found.length = p, 4
        return True
    return text_at(p, page, found)


cdef inline bint is_named(Text key, Py_ssize_t length, const char* name) noexcept nogil:
    return memcmp(key, name, length) == 0


cdef inline uint64_t mixed(uint64_t value, uint64_t word) noexcept nogil:
    value = (value ^ word) * <uint64_t>0x9E3779B97F4A7C15
    return value ^ (value >> 29)


cdef uint64_t digest_of(Text p, Py_ssize_t length, uint64_t seed) noexcept nogil:
    """Finds a slot. What is found is compared whole, so that a collision costs time and nothing else."""
    cdef uint64_t one = seed, two = ~seed, three = seed ^ <uint64_t>length, four = seed + 1, word
    while length >= 32:
        memcpy(&word, p, 8)
        one = mixed(one, word)
        memcpy(&word, p + 8, 8)
        two = mixed(two, word)
        memcpy(&word, p + 16, 8)
        three = mixed(three, word)
        memcpy(&word, p + 24, 8)
        four = mixed(four, word)
        p += 32
        length -= 32
    while length >= 8:
        memcpy(&word, p, 8)
        one = mixed(one, word)
        p += 8
        length -= 8
    word = 0
    memcpy(&word, p, length)
    two = mixed(two, word)
    return mixed(mixed(mixed(one, two), three), four)


cdef bint prepare(Users* users, uint64_t seed) noexcept nogil:
    """Begin with no user; False where there is no memory."""
    users.count, users.last_number, users.seed = 0, 0, seed
    users.slots = <User**>calloc(USER_SLOTS, sizeof(User*))
    return users.slots != NULL


cdef void forget_all(Users* users) noexcept nogil:
    cdef int slot
    if users.count:
        for slot in range(USER_SLOTS):
            free(users.slots[slot])
        memset(users.slots, 0, USER_SLOTS * sizeof(User*))
        users.count = 0


cdef void release(Users* users) noexcept nogil:
    if users.slots != NULL:
        forget_all(users)
        free(users.slots)


cdef User** slot_of(Users* users, Text p, Py_ssize_t length, uint64_t digest) noexcept nogil:
    """Where the user is remembered, or could be."""
    cdef Py_ssize_t slot = digest & (USER_SLOTS - 1)
    cdef User* user
    while True:
        user = users.slots[slot]
        if user == NULL or (user.digest == digest and user.length == length and memcmp(user.text, p, length) == 0):
            return users.slots + slot
        slot = (slot + 1) & (USER_SLOTS - 1)


cdef Text user_end(Text p, Page* page, Line* line) noexcept nogil:
    """Behind the user at `p`, which goes into the line. One that is remembered needs no walk: the same bytes end alike."""
    cdef Text stop = p, walked
    cdef Py_ssize_t length = 0
    cdef User** slot = NULL
    cdef User* user
    cdef uint64_t digest = 0
    line.user.at = p
    while True:
        stop = <Text>memchr(stop, 125, page.end - stop)
        if stop == NULL:
            break
        stop += 1
        if stop < page.end and stop[0] == 44:  # so ends a user, unless a string says so
            length = stop - p
            break
    if 0 < length <= USER_BYTES:
        digest = digest_of(p, length, page.users.seed)
        slot = slot_of(page.users, p, length, digest)
        if slot[0] != NULL:
            line.user.length, line.user_number = length, slot[0].number
            return stop
    walked = value_end(p, page)
    if walked == NULL:
        return NULL
    line.user.length = walked - p
    if slot != NULL and walked == stop and page.users.count < MAX_USERS:
        user = <User*>malloc(sizeof(User) + length)
        if user != NULL:
            page.users.count += 1
            page.users.last_number += 1
            user.digest, user.length, user.number = digest, length, page.users.last_number
            memcpy(user.text, p, length)
            slot[0], line.user_number = user, user.number
    return walked


cdef Text ref_end(Text p, Page* page, Line* line) noexcept nogil:
    """Behind the objectRef at `p`, whose parts go into the line."""
    cdef Text end = page.end
    cdef Text key
    cdef Py_ssize_t length
    cdef Span ignored
    cdef Span* found
    if end - p < 2 or p[0] != 123:
        return NULL
    if p[1] == 125:
        return p + 2
    while True:
        p += 1
        key = p + 1
        p = key_end(p, page)
        if p == NULL:
            return NULL
        length = p - 2 - key
        found = &ignored
        if length == 8 and is_named(key, 8, b"resource"):
            found = &line.resource
        elif length == 9 and is_named(key, 9, b"namespace"):
            found = &line.namespace
        elif length == 4 and is_named(key, 4, b"name"):
            found = &line.name
        elif length == 8 and is_named(key, 8, b"apiGroup"):
            found = &line.api_group
        elif length == 11 and is_named(key, 11, b"subresource"):
            found = &line.subresource
        elif not (
            (length == 3 and is_named(key, 3, b"uid"))
            or (length == 10 and is_named(key, 10, b"apiVersion"))
            or (length == 15 and is_named(key, 15, b"resourceVersion"))
        ):
            return NULL
        if found != &ignored and found.length:
            return NULL
        if not text_at(p, page, found):
            return NULL
        p = found.at + found.length
        if p >= end:
            return NULL
        if p[0] == 125:
            return p + 1
        if p[0] != 44:
            return NULL


cdef Text status_end(Text p, Page* page, Line* line) noexcept nogil:
    """Behind the responseStatus at `p`, whose code goes into the line."""
    cdef Text end = page.end
    cdef Text key
    cdef Py_ssize_t length
    if end - p < 2 or p[0] != 123:
        return NULL
    if p[1] == 125:
        return p + 2
    while True:
        p += 1
        key = p + 1
        p = key_end(p, page)
        if p == NULL:
            return NULL
        length = p - 2 - key
        if length == 4 and is_named(key, 4, b"code"):
            if line.code.length:
                return NULL
            line.code.at = p
            while p < end and is_digit(p[0]):
                p += 1
            line.code.length = p - line.code.at
            if line.code.length != 3:
                return NULL
        elif length == 7 and is_named(key, 7, b"message"):
            if line.message.length or not text_at(p, page, &line.message):
                return NULL
            p = line.message.at + line.message.length
        elif (
            (length == 8 and is_named(key, 8, b"metadata"))
            or (length == 7 and is_named(key, 7, b"details"))
            or (length == 6 and (is_named(key, 6, b"status") or is_named(key, 6, b"reason")))
        ):
            p = value_end(p, page)
            if p == NULL:
                return NULL
        else:
            return NULL
        if p >= end:
            return NULL
        if p[0] == 125:
            return p + 1
        if p[0] != 44:
            return NULL


cdef Text annotations_end(Text p, Page* page, Line* line) noexcept nogil:
    """Behind the annotations at `p`; those that behaviour depends on go into the line (see `head.HeadAnnotations`)."""
    cdef Text end = page.end
    cdef Text key
    cdef Py_ssize_t length
    cdef Span ignored
    cdef Span* found
    if end - p < 2 or p[0] != 123:
        return NULL
    if p[1] == 125:
        return p + 2
    while True:
        p += 1
        key = p + 1
        p = key_end(p, page)
        if p == NULL:
            return NULL
        length = p - 2 - key
        if memchr(key, 92, length) != NULL:
            return NULL
        found = &ignored
        if length == 29 and is_named(key, 29, b"authorization.k8s.io/decision"):
            found = &line.decision
        elif length == 27 and is_named(key, 27, b"authorization.k8s.io/reason"):
            found = &line.reason
        elif length == 48 and is_named(key, 48, b"authentication.k8s.io/legacy-token-manual-secret"):
            found = &line.manual
        elif length == 55 and is_named(key, 55, b"authentication.k8s.io/legacy-token-autogenerated-secret"):
            found = &line.autogenerated
        else:
            line.has_other_annotations = True
        if found != &ignored and found.length:
            return NULL
        if not text_or_null(p, page, found):
            return NULL
        p = found.at + found.length
        if p >= end:
            return NULL
        if p[0] == 125:
            return p + 1
        if p[0] != 44:
            return NULL


cdef bint walk(Text p, Page* page, Line* line) noexcept nogil:
    """Take a line apart; False where it is not just what an API server writes."""
    cdef Text end = page.end
    cdef Text key, value
    cdef Py_ssize_t length
    cdef Span* found
    cdef Span ignored
    cdef bint as_text
    memset(line, 0, sizeof(Line))
    if end - p < 2 or p[0] != 123 or (end - 1)[0] != 125:
        return False
    if end - p > START_BYTES and memcmp(p, START, START_BYTES) == 0:
        p += START_BYTES - 1
    while True:
        p += 1
        key = p + 1
        p = key_end(p, page)
        if p == NULL:
            return False
        length = p - 2 - key
        value = p
        found = NULL
        as_text = False
        if length == 4:
            if is_named(key, 4, b"verb"):
                found, as_text = &line.verb, True
            elif is_named(key, 4, b"user"):
                if line.user.length:
                    return False
                p = user_end(p, page, line)
            elif is_named(key, 4, b"kind"):
                found, as_text = &ignored, True
        elif length == 5:
            if is_named(key, 5, b"level"):
                found, as_text = &line.level, True
            elif is_named(key, 5, b"stage"):
                found, as_text = &line.stage, True
        elif length == 7:
            if is_named(key, 7, b"auditID"):
                found, as_text = &line.audit_id, True
        elif length == 9:
            if is_named(key, 9, b"userAgent"):
                found, as_text = &line.agent, True
            elif is_named(key, 9, b"sourceIPs"):
                found = &line.sources
            elif is_named(key, 9, b"objectRef"):
                if line.has_ref:
                    return False
                line.has_ref = True
                p = ref_end(p, page, line)
        elif length == 10:
            if is_named(key, 10, b"requestURI"):
                found, as_text = &line.uri, True
            elif is_named(key, 10, b"apiVersion"):
                found, as_text = &ignored, True
        elif length == 11:
            if is_named(key, 11, b"annotations"):
                if line.has_annotations:
                    return False
                line.has_annotations = True
                p = annotations_end(p, page, line)
        elif length == 13:
            if is_named(key, 13, b"requestObject"):
                found = &line.request_body
        elif length == 14:
            if is_named(key, 14, b"stageTimestamp"):
                found, as_text = &line.time, True
            elif is_named(key, 14, b"responseObject"):
                found = &line.response_body
            elif is_named(key, 14, b"responseStatus"):
                if line.has_status:
                    return False
                line.has_status = True
                p = status_end(p, page, line)
        elif length == 16:
            if is_named(key, 16, b"impersonatedUser"):
                found = &line.impersonated
        elif length == 24:
            if is_named(key, 24, b"requestReceivedTimestamp"):
                found, as_text = &line.received, True
        if found != NULL:
            if found != &ignored and found.length:
                return False
            if as_text:
                if not text_at(p, page, found):
                    return False
                p = found.at + found.length
            else:
                p = value_end(p, page)
                if p == NULL:
                    return False
                found.at, found.length = value, p - value
        elif p == value:
            return False
        if p == NULL or p >= end:
            return False
        if p[0] == 125:
            return p + 1 == end
        if p[0] != 44:
            return False


