// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* b2bserver's calls, what is repeated until it is answered, and what SDP is carried across. See b2b.h. */
#include "b2b.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define T1_NS 500000000LL
#define T2_NS 4000000000LL

void send_sip(const char *text, size_t len, const struct sockaddr_in *to)
{
	if (sendto(self.sip, text, len, 0, (const struct sockaddr *)to, sizeof(*to)) < 0)
		self.unsent++;
}

void send_text(const struct text *text, const struct sockaddr_in *to)
{
	if (text->full)
		self.unsent++;
	else
		send_sip(text->at, text->len, to);
}

/* --- what is repeated --------------------------------------------------------------- */
void repeat_clear(struct repeat *r)
{
	free(r->text);
	*r = (struct repeat){0};
}

void repeat_start(struct repeat *r, const struct text *text, const struct sockaddr_in *to)
{
	int64_t now = boot_ns();

	repeat_clear(r);
	send_text(text, to);
	if (text->full || !(r->text = malloc(text->len)))
		return;
	memcpy(r->text, text->at, text->len);
	*r = (struct repeat){r->text, text->len, now + T1_NS, T1_NS, now + GIVE_UP_NS};
}

void repeat_tick(struct repeat *r, const struct sockaddr_in *to, int64_t now)
{
	if (!r->text)
		return;
	if (now > r->until_ns) {
		repeat_clear(r);
		return;
	}
	if (now < r->next_ns)
		return;
	send_sip(r->text, r->len, to);
	r->pause_ns = r->pause_ns * 2 < T2_NS ? r->pause_ns * 2 : T2_NS;
	r->next_ns = now + r->pause_ns;
}

/* --- calls ----------------------------------------------------------------------------- */
/* Payload types of the phone on `side`, as the other phone knows them: in a list, or after rtpmap: and fmtp:.
 */
static void add_numbered(struct text *ret, struct span span, int side, bool list)
{
	static const char *const before[] = {"a=rtpmap:", "a=fmtp:"};

	for (size_t i = 0; i < span.len;) {
		const char *at = span.at + i;
		size_t left = span.len - i, skip = 0, digits = 0;

		if (list && (i == 0 || at[-1] == ' '))
			digits = strspn(at, "0123456789");
		for (int b = 0; !list && b < 2; b++) {
			size_t len = strlen(before[b]);
			if (left > len && !strncmp(at, before[b], len)) {
				skip = len;
				digits = strspn(at + len, "0123456789");
			}
		}
		if (digits == 0 || skip + digits > left) {
			text_add_span(ret, (struct span){at, 1});
			i++;
			continue;
		}
		text_add_span(ret, (struct span){at, skip});
		text_add(ret, "%u", relay_pt((unsigned int)strtoul(at + skip, NULL, 10), side));
		i += skip + digits;
	}
}

bool carry_sdp(struct leg *from, struct leg *to, struct span body, struct text *ret)
{
	struct sdp_line sdp;

	if (sdp_read(body, &sdp))
		return false;
	relay_learn(&from->call->media, from->side, &sdp.rtp);
	to->sdp_version++;
	text_add(ret, "v=0\r\no=b2b %llu %llu IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %u ",
	         (unsigned long long)to->sdp_id, (unsigned long long)to->sdp_version, self.host, self.host,
	         to->call->media.leg[to->side].port);
	add_numbered(ret, sdp.formats, from->side, true);
	text_add(ret, "\r\n");
	add_numbered(ret, sdp.media, from->side, false);
	return !ret->full;
}

void copy(char *to, size_t size, struct span from)
{
	size_t len = from.len < size - 1 ? from.len : size - 1;

	memcpy(to, from.at ? from.at : "", from.at ? len : 0);
	to[from.at ? len : 0] = 0;
}

static struct span spanned(const char *text)
{
	return (struct span){text, strlen(text)};
}

struct leg *find(struct span call_id)
{
	struct leg *leg = self.buckets[text_hash(call_id) % BUCKETS];

	while (leg && !span_equal(spanned(leg->call_id), call_id))
		leg = leg->next;
	return leg;
}

void enter(struct leg *leg)
{
	struct leg **bucket = &self.buckets[text_hash(spanned(leg->call_id)) % BUCKETS];

	leg->next = *bucket;
	*bucket = leg;
}

static void leave(struct leg *leg)
{
	struct leg **at = &self.buckets[text_hash(spanned(leg->call_id)) % BUCKETS];

	while (*at && *at != leg)
		at = &(*at)->next;
	if (*at)
		*at = leg->next;
}

struct leg *other(struct leg *leg)
{
	return &leg->call->leg[!leg->side];
}

struct call *new_call(void)
{
	struct call *call = self.n_calls < CALLS_MAX ? calloc(1, sizeof(*call)) : NULL;

	if (!call)
		return NULL;
	call->number = ++self.numbers;
	for (int i = 0; i < 2; i++) {
		struct leg *leg = &call->leg[i];
		leg->call = call;
		leg->side = i;
		leg->sdp_id = 3000000000ULL + call->number * 2ULL + (unsigned int)i;
		snprintf(leg->tag, sizeof(leg->tag), "%08x%u%c", self.run, call->number, 'a' + i);
	}
	if (relay_open(&call->media, call->number)) {
		free(call);
		return NULL;
	}
	self.calls[self.n_calls++] = call;
	return call;
}

void end_call(struct call *call)
{
	if (call->state == CALL_ENDED)
		return;
	self.up -= call->state == CALL_UP;
	self.ended++;
	call->state = CALL_ENDED;
	call->ended_ns = boot_ns();
	relay_close(&call->media);
}

void free_call(struct call *call)
{
	for (int i = 0; i < 2; i++) {
		leave(&call->leg[i]);
		repeat_clear(&call->leg[i].request);
		repeat_clear(&call->leg[i].answer);
		free(call->leg[i].invite);
	}
	free(call);
}
