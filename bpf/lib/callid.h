/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The Call-ID of a SIP datagram (RFC 3261 section 7.3.1): found eight bytes at a
 * time in a copy of the first SIP_TEXT_LEN bytes, and hashed from there. Header
 * names in any case, the compact form, blanks round the colon; not a value that is
 * folded onto another line (no agent sends that, and the parser reads it). What is
 * cut off before the value's end has no Call-ID. Called by steer.h and egress.
 * Needs MAP(sip_text), MAP(steer_key), MAP(steer).
 */
#ifndef SIPFLIP_BPF_CALLID_H
#define SIPFLIP_BPF_CALLID_H

#include "lib/cursor.h"
#include "lib/maps.h"
#include "lib/siphash.h"

#define CALL_ID_WORDS  4   /* at once */
#define CALL_ID_STEPS  320 /* SIP_TEXT_LEN in such pieces, and as many lines as one has in it */
#define CALL_ID_BLANKS 32  /* before the colon and after it together */
#define EACH_BYTE(x)   (0x0101010101010101ULL * (x))

static __always_inline bool is_sip_port(const struct service_conf *conf, __u16 port)
{
	int i;

	if (port == conf->sip_port[0])
		return true;
#pragma unroll
	for (i = 1; i < MAX_SIP_PORTS; i++) {
		if (!conf->sip_port[i])
			return false;
		if (port == conf->sip_port[i])
			return true;
	}
	return false;
}

/* Bit 7 of the first byte that is below n (1 to 128), and maybe of later ones; 0 = there is none. */
static __always_inline __u64 bytes_below(__u64 word, __u8 n)
{
	return (word - EACH_BYTE(n)) & ~word & EACH_BYTE(0x80);
}

/* How many bytes are before the first that is marked. */
static __always_inline __u32 bytes_before(__u64 marks)
{
	return ((((marks & -marks) >> 7) - 1) & EACH_BYTE(1)) * EACH_BYTE(1) >> 56;
}

/* The barriers keep the bound where the verifier sees it: at the access. */
static __always_inline __u64 text_word(const struct sip_text *text, __u32 at)
{
	barrier_var(at);
	return LE64(AT64(text->b + (at & (SIP_TEXT_LEN - 1))));
}

static __always_inline __u8 text_byte(const struct sip_text *text, __u32 at)
{
	barrier_var(at);
	return text->b[at & (SIP_TEXT_LEN - 1)];
}

/* The length of the header's name if it is a Call-ID's, else 0. */
static __always_inline __u32 call_id_name(__u64 line)
{
	/* "call-id": letters to lower case, the hyphen as it is */
	if (((line | 0x0020200020202020ULL) & 0x00ffffffffffffffULL) == 0x0064692d6c6c6163ULL)
		return 7;
	return ((line & 0xff) | 0x20) == 'i' ? 1 : 0;
}

/* Puts text->at where the value begins after the name; false: it was another header's name. */
static __noinline bool call_id_value(struct sip_text *text, __u32 name)
{
	bool colon = false;
	__u32 at, i;

	if (!text)
		return false;
	at = text->at + name;
	for (i = 0; i < CALL_ID_BLANKS && at < SIP_TEXT_LEN; i++) {
		__u8 c = text_byte(text, at);

		if (c == ':' && !colon)
			colon = true;
		else if (c != ' ' && c != '\t')
			break;
		at++;
	}
	if (colon)
		text->at = at;
	return colon;
}

struct call_id_search {
	struct sip_text *text;
	__u32 found;
	__u32 pad;
};

/* bpf_loop's callback: on to the next line, or a few words towards it. Is that a Call-ID? 1 = done. */
static int call_id_step(__u32 step, struct call_id_search *search)
{
	struct sip_text *text = search->text;
	__u32 at = text->at, name, i;
	__u64 marks = 0, line;

#pragma unroll
	for (i = 0; i < CALL_ID_WORDS; i++) {
		if (at >= text->len)
			return 1;
		marks = bytes_below(text_word(text, at) ^ EACH_BYTE('\n'), 1);
		if (marks)
			break;
		at += 8;
	}
	if (marks)
		at += bytes_before(marks) + 1;
	text->at = at;
	if (!marks)
		return 0;
	if (at >= text->len)
		return 1;
	line = text_word(text, at);
	if ((line & 0xff) == '\r' || (line & 0xff) == '\n')
		return 1; /* the empty line: what follows is the body */
	name = call_id_name(line);
	if (name && call_id_value(text, name))
		search->found = 1;
	return search->found;
}

enum call_id {
	CALL_ID_NONE,
	CALL_ID_LONG, /* there is one, but none that is steered */
	CALL_ID_GOOD,
};

/* SipHash-2-4 of what stands from text->at on, up to a blank or the line's end. */
static __noinline enum call_id call_id_hash(const struct sip_text *text, __u32 service, __u64 *ret_hash)
{
	__u32 zero = 0, i, len, at;
	struct siphash_key *key = bpf_map_lookup_elem(&steer_key, &zero);
	__u64 v0, v1, v2, v3, word, marks, left;

	if (!key || !text || !ret_hash)
		return CALL_ID_NONE;
	SIPBEGIN(key->k0, key->k1 ^ service);
	at = text->at;
	for (i = 0; i <= STEER_CALL_ID_LEN / 8; i++) {
		if (at >= text->len)
			return CALL_ID_NONE;
		word = text_word(text, at);
		marks = bytes_below(word, ' ' + 1);
		if (marks)
			goto last;
		SIPWORD(word);
		at += 8;
	}
	return CALL_ID_LONG;
last:
	left = bytes_before(marks);
	at += left;
	len = at - text->at;
	if (at >= text->len || !len)
		return CALL_ID_NONE;
	if (len > STEER_CALL_ID_LEN)
		return CALL_ID_LONG;
	SIPWORD((word & ((1ULL << left * 8) - 1)) | (__u64)len << 56);
	SIPEND;
	*ret_hash = LE64(v0 ^ v1 ^ v2 ^ v3);
	return CALL_ID_GOOD;
}

static __always_inline struct sip_text *sip_text_buffer(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&sip_text, &zero);
}

/* text->len bytes are there: ends them with zeros. */
static __always_inline void sip_text_end(struct sip_text *text, __u32 len)
{
	text->len = len;
	text->at = 0;
	AT64(text->b + len) = 0;
}

/* The dialog's entry in `steer`, or NULL and in *ret_found whether there is a Call-ID. */
static __always_inline struct steer *steer_find(struct sip_text *text, __u32 service, enum call_id *ret_found)
{
	struct call_id_search search = {.text = text};
	struct steer *entry;
	__u64 hash = 0;

	bpf_loop(CALL_ID_STEPS, call_id_step, &search, 0);
	*ret_found = search.found ? call_id_hash(text, service, &hash) : CALL_ID_NONE;
	if (*ret_found != CALL_ID_GOOD)
		return NULL;
	entry = bpf_map_lookup_elem(&steer, &hash);
	return entry && entry->service == service ? entry : NULL;
}

#endif
