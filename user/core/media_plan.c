/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From two legs to the flows between their phones. A leg's SDPs are read once; the
 * first media line that is open on both legs decides about the call, the other one
 * goes along if it fits as well. Pure.
 */
#include "media_plan.h"
#include "addr.h"
#include "sdp.h"

#include <stdlib.h>
#include <string.h>

#define LINES  (DIALOG_STREAMS / 2)
#define CODECS 24 /* of one media line; more are not compared */

struct codec {
	uint8_t payload_type;
	char name[SDP_TOKEN_LEN];
};

struct codecs {
	uint32_t n;
	struct codec codec[CODECS];
};

struct leg {
	const struct dialog *dialog;
	bool heard; /* the phone's SDP is there */
	bool told;  /* the server's is */
	struct sdp in;
	struct sdp out;
};

const char *media_path_name(enum media_path path)
{
	static const char *const names[] = {
#define X(name, text) #name,
	        MEDIA_PATHS(X)
#undef X
	};

	return path < sizeof(names) / sizeof(names[0]) ? names[path] : "";
}

const char *media_path_text(enum media_path path)
{
	static const char *const texts[] = {
#define X(name, text) text,
	        MEDIA_PATHS(X)
#undef X
	};

	return path < sizeof(texts) / sizeof(texts[0]) ? texts[path] : "";
}

const char *media_why_name(enum media_why why)
{
	static const char *const names[] = {
#define X(name, text) #name,
	        MEDIA_WHYS(X)
#undef X
	};

	return why < sizeof(names) / sizeof(names[0]) ? names[why] : "";
}

const char *media_why_text(enum media_why why)
{
	static const char *const texts[] = {
#define X(name, text) text,
	        MEDIA_WHYS(X)
#undef X
	};

	return why < sizeof(texts) / sizeof(texts[0]) ? texts[why] : "";
}

static void read_leg(const struct dialog *dialog, struct leg *ret)
{
	ret->dialog = dialog;
	ret->heard = sdp_parse(dialog->sdp_in, dialog->sdp_in_len, &ret->in) == 0;
	ret->told = sdp_parse(dialog->sdp_out, dialog->sdp_out_len, &ret->out) == 0;
}

/* The m= line, NULL when there is none such or it is off. */
static const struct sdp_media *open_line(const struct sdp *sdp, bool there, uint32_t i)
{
	return there && i < sdp->n_media && sdp->media[i].port ? &sdp->media[i] : NULL;
}

/* RFC 3264 8.4: an address that means hold, not a place. */
static bool is_hold(const char *address)
{
	return !strcmp(address, "0.0.0.0");
}

static bool is_vip(const char *address, const struct inaddr16 *vip)
{
	struct inaddr16 addr;

	return is_hold(address) || (addr_parse(address, &addr) == 0 && addr_equal(&addr, vip));
}

/* --- one leg's streams ------------------------------------------------------------ */

/* What the phone's SDP says of a stream, unless that is no address. */
static void say(struct media_flow *flow, const char *address, uint16_t port)
{
	struct inaddr16 addr;

	if (!port || is_hold(address) || addr_parse(address, &addr))
		return;
	flow->remote = addr;
	flow->remote_port = port;
}

/* What the kernel saw is better than what was said. */
static void see(struct media_flow *flow, const struct dialog_stream *seen)
{
	memcpy(flow->mac, seen->mac, sizeof(flow->mac));
	if (seen->from_port) {
		flow->source = seen->from;
		flow->source_port = seen->from_port;
	}
	if (seen->to_port) {
		flow->remote = seen->to;
		flow->remote_port = seen->to_port;
	} else if (seen->from_port) {
		flow->remote = seen->from;
		flow->remote_port = seen->from_port;
	}
}

static void plan_line(const struct leg *leg, uint32_t i, const struct inaddr16 *vip,
                      struct media_flow flow[DIALOG_STREAMS])
{
	const struct sdp_media *out = open_line(&leg->out, leg->told, i);
	const struct sdp_media *in = open_line(&leg->in, leg->heard, i);
	struct media_flow *rtp = &flow[2 * i], *rtcp = rtp + 1;
	struct inaddr16 said;

	if (!out || !is_vip(out->address, vip) || (leg->heard && !in))
		return;
	rtp->used = true;
	rtp->vip_port = out->port;
	if (in)
		say(rtp, in->address, in->port);
	said = rtp->remote;
	see(rtp, dialog_stream_of(leg->dialog, 2 * i));
	if (!out->rtcp_port || (out->rtcp_mux && (!in || in->rtcp_mux)))
		return;
	rtcp->used = true;
	rtcp->rtcp = true;
	rtcp->vip_port = out->rtcp_port;
	/* Behind a NAT, which the RTP shows, the port that the phone says is not the one outside. */
	if (in && addr_equal(&said, &rtp->remote))
		say(rtcp, in->rtcp_address[0] ? in->rtcp_address : in->address, in->rtcp_port);
	see(rtcp, dialog_stream_of(leg->dialog, 2 * i + 1));
}

/* --- codecs ------------------------------------------------------------------------- */

static bool is_rtp(const struct sdp_media *media)
{
	return strstr(media->proto, "RTP/") != NULL;
}

static void list_codecs(const char *text, size_t len, const struct sdp_media *media, uint32_t line,
                        struct codecs *ret)
{
	const char *p = media->formats;
	bool cut = strlen(p) == sizeof(media->formats) - 1;

	ret->n = 0;
	while (*p && ret->n < CODECS) {
		struct codec *codec = &ret->codec[ret->n];
		char *end;
		unsigned long type = strtoul(p, &end, 10);

		if (cut && !*end)
			break; /* who knows how the last one went on */
		if (end > p && (*end == ' ' || !*end) && type <= 127 &&
		    !sdp_codec(text, len, line, (uint8_t)type, codec->name, sizeof(codec->name))) {
			codec->payload_type = (uint8_t)type;
			ret->n++;
		}
		p = end + strcspn(end, " ");
		p += strspn(p, " ");
	}
}

static void codecs_in(const struct leg *leg, uint32_t line, struct codecs *ret)
{
	list_codecs(leg->dialog->sdp_in, leg->dialog->sdp_in_len, &leg->in.media[line], line, ret);
}

static void codecs_out(const struct leg *leg, uint32_t line, struct codecs *ret)
{
	list_codecs(leg->dialog->sdp_out, leg->dialog->sdp_out_len, &leg->out.media[line], line, ret);
}

static const struct codec *by_name(const struct codecs *codecs, const char *name)
{
	for (uint32_t i = 0; i < codecs->n; i++)
		if (!strcmp(codecs->codec[i].name, name))
			return &codecs->codec[i];
	return NULL;
}

static bool has(const struct codecs *codecs, const struct codec *codec)
{
	for (uint32_t i = 0; i < codecs->n; i++)
		if (codecs->codec[i].payload_type == codec->payload_type &&
		    !strcmp(codecs->codec[i].name, codec->name))
			return true;
	return false;
}

/* Carries speech or pictures by itself; the others come beside such a one. */
static bool is_main(const struct codec *codec)
{
	return strncmp(codec->name, "telephone-event/", 16) != 0 && strncmp(codec->name, "cn/", 3) != 0 &&
	       strncmp(codec->name, "red/", 4) != 0 && strncmp(codec->name, "rtx/", 4) != 0 &&
	       strncmp(codec->name, "ulpfec/", 7) != 0;
}

/*
 * The codec in use: the first one common to both sides, in the order of the answer
 * (RFC 3264 section 6.1), which came from whoever was called. NULL = none.
 */
static const struct codec *in_use(const struct leg *leg, const struct codecs *in, const struct codecs *out)
{
	const struct codecs *answer = leg->dialog->role == DIALOG_UAS ? out : in;
	const struct codecs *offer = answer == out ? in : out;

	for (uint32_t i = 0; i < answer->n; i++)
		if (is_main(&answer->codec[i]) && by_name(offer, answer->codec[i].name))
			return &answer->codec[i];
	return NULL;
}

static bool share_codec(const struct codecs *a, const struct codecs *b)
{
	for (uint32_t i = 0; i < a->n; i++)
		if (is_main(&a->codec[i]) && by_name(b, a->codec[i].name))
			return true;
	return false;
}

static void add_pt(struct media_flow *flow, const struct codec *from, const struct codecs *to)
{
	const struct codec *other = by_name(to, from->name);

	if (!other || has(to, from))
		return;
	for (uint32_t i = 0; i < FLOW_PTS; i++) {
		struct flow_pt *pt = &flow->pt[i];

		if (pt->from == from->payload_type && (pt->from || pt->to))
			return;
		if (!pt->from && !pt->to) {
			*pt = (struct flow_pt){from->payload_type, other->payload_type};
			return;
		}
	}
}

/* A phone sends the numbers that it was told, and wants those that it said itself (RFC 3264 section 5.1). */
static void map_types(struct media_flow *flow, const struct codec *used, const struct codecs *told,
                      const struct codecs *wanted)
{
	const struct codec *first = used ? by_name(told, used->name) : NULL;

	if (first)
		add_pt(flow, first, wanted);
	for (uint32_t i = 0; i < told->n; i++)
		if (!is_main(&told->codec[i]))
			add_pt(flow, &told->codec[i], wanted);
	for (uint32_t i = 0; i < told->n; i++)
		add_pt(flow, &told->codec[i], wanted);
}

/* --- keys and profiles ------------------------------------------------------------- */

enum profile {
	PROFILE_OTHER = 0,
	PROFILE_PLAIN,
	PROFILE_SDES,
	PROFILE_DTLS,
};

/* With or without feedback (RFC 4585, 5124): the packets are the same. */
static enum profile profile_of(const struct sdp_media *media)
{
	if (media->fingerprint && strstr(media->proto, "SAVP"))
		return PROFILE_DTLS;
	if (!strcmp(media->proto, "RTP/AVP") || !strcmp(media->proto, "RTP/AVPF"))
		return PROFILE_PLAIN;
	if (!strcmp(media->proto, "RTP/SAVP") || !strcmp(media->proto, "RTP/SAVPF"))
		return PROFILE_SDES;
	return strstr(media->proto, "TLS/RTP/") ? PROFILE_DTLS : PROFILE_OTHER;
}

/* The value behind `name` anywhere in one text is in the other one as well. */
static bool shares_value(const char *text, size_t len, const char *name, const char *other, size_t other_len)
{
	const char *p = text, *end = text + len;
	size_t name_len = strlen(name);

	while ((p = memmem(p, (size_t)(end - p), name, name_len))) {
		const char *stop = p + name_len;

		while (stop < end && *stop != '\r' && *stop != '\n' && *stop != '|')
			stop++;
		if (stop > p + name_len && memmem(other, other_len, p, (size_t)(stop - p)))
			return true;
		p = stop;
	}
	return false;
}

/* Each phone was told the other one's own keys: nobody in between has to decrypt. */
static bool end_to_end(const struct dialog *a, const struct dialog *b, const char *name)
{
	return shares_value(a->sdp_in, a->sdp_in_len, name, b->sdp_out, b->sdp_out_len) &&
	       shares_value(b->sdp_in, b->sdp_in_len, name, a->sdp_out, a->sdp_out_len);
}

/* --- both legs ----------------------------------------------------------------------- */

struct line {
	struct codecs a_in, a_out, b_in, b_out;
	const struct codec *a_used;
	const struct codec *b_used;
};

static bool is_open_on(const struct leg *leg, uint32_t i)
{
	return open_line(&leg->in, leg->heard, i) && open_line(&leg->out, leg->told, i);
}

static void read_line(const struct leg *a, const struct leg *b, uint32_t i, struct line *ret)
{
	codecs_in(a, i, &ret->a_in);
	codecs_out(a, i, &ret->a_out);
	codecs_in(b, i, &ret->b_in);
	codecs_out(b, i, &ret->b_out);
	ret->a_used = in_use(a, &ret->a_in, &ret->a_out);
	ret->b_used = in_use(b, &ret->b_in, &ret->b_out);
}

struct verdict {
	enum media_path path;
	enum media_why why;
};

/* What can be offered anew from one phone to the other, if they have a codec in common. */
static struct verdict anew(const struct line *line, enum media_path path, enum media_why why)
{
	if (share_codec(&line->a_in, &line->b_in))
		return (struct verdict){path, why};
	return (struct verdict){MEDIA_PATH_none, MEDIA_WHY_no_codec};
}

static struct verdict judge_codecs(const struct sdp_media *a, const struct sdp_media *b,
                                   const struct line *line)
{
	bool fits;

	if (!is_rtp(a))
		fits = !strcmp(a->formats, b->formats);
	else
		fits = line->a_used && line->b_used && by_name(&line->b_in, line->a_used->name) &&
		       by_name(&line->a_in, line->b_used->name);
	return fits ? (struct verdict){MEDIA_PATH_relay, MEDIA_WHY_fits}
	            : anew(line, MEDIA_PATH_direct, MEDIA_WHY_transcoded);
}

static struct verdict judge_line(const struct leg *a, const struct leg *b, uint32_t i,
                                 const struct inaddr16 *vip, bool direct, const struct line *line)
{
	const struct sdp_media *ma = &a->in.media[i], *mb = &b->in.media[i];
	bool a_here = is_vip(a->out.media[i].address, vip), b_here = is_vip(b->out.media[i].address, vip);
	enum profile profile = profile_of(ma);

	if (!a_here || !b_here)
		return (struct verdict){a_here || b_here ? MEDIA_PATH_none : MEDIA_PATH_bypass,
		                        MEDIA_WHY_not_vip};
	if (direct)
		return anew(line, MEDIA_PATH_direct, MEDIA_WHY_configured);
	if ((profile == PROFILE_DTLS || profile_of(mb) == PROFILE_DTLS) &&
	    !end_to_end(a->dialog, b->dialog, "a=fingerprint:"))
		return anew(line, MEDIA_PATH_direct, MEDIA_WHY_dtls);
	if (profile != profile_of(mb) || (profile == PROFILE_OTHER && strcmp(ma->proto, mb->proto)))
		return (struct verdict){MEDIA_PATH_none, MEDIA_WHY_profile};
	if (profile == PROFILE_SDES && !end_to_end(a->dialog, b->dialog, "inline:"))
		return anew(line, MEDIA_PATH_rekey, MEDIA_WHY_sdes);
	return judge_codecs(ma, mb, line);
}

static void drop_line(struct media_plan *plan, uint32_t i)
{
	memset(&plan->a[2 * i], 0, 2 * sizeof(plan->a[0]));
	memset(&plan->b[2 * i], 0, 2 * sizeof(plan->b[0]));
}

/* Lines that are on both legs are one stream of the call when they are of one kind. */
static void join_lines(const struct leg *a, const struct leg *b, const struct inaddr16 *vip, bool direct,
                       struct media_plan *plan)
{
	bool judged = false;

	plan->path = MEDIA_PATH_none;
	plan->why = a->told && a->heard && b->told && b->heard ? MEDIA_WHY_no_port : MEDIA_WHY_no_sdp;
	for (uint32_t i = 0; i < LINES; i++) {
		struct verdict verdict;
		struct line line;

		if (!is_open_on(a, i) || !is_open_on(b, i))
			continue; /* what one leg has of it stays, without another end */
		if (strcmp(a->in.media[i].kind, b->in.media[i].kind) != 0) {
			drop_line(plan, i);
			continue;
		}
		read_line(a, b, i, &line);
		verdict = judge_line(a, b, i, vip, direct, &line);
		if (!judged) {
			plan->path = (uint8_t)verdict.path;
			plan->why = (uint8_t)verdict.why;
		} else if (verdict.path != plan->path) {
			drop_line(plan, i);
			continue;
		}
		judged = true;
		map_types(&plan->a[2 * i], line.a_used, &line.a_out, &line.b_in);
		map_types(&plan->b[2 * i], line.b_used, &line.b_out, &line.a_in);
	}
}

void media_plan(const struct dialog *a, const struct dialog *b, const struct inaddr16 *vip, bool direct,
                struct media_plan *ret)
{
	struct leg leg_a, leg_b;

	memset(ret, 0, sizeof(*ret));
	ret->path = MEDIA_PATH_none;
	read_leg(a, &leg_a);
	for (uint32_t i = 0; i < LINES; i++)
		plan_line(&leg_a, i, vip, ret->a);
	if (!b) {
		ret->why = leg_a.told ? MEDIA_WHY_fits : MEDIA_WHY_no_sdp;
		return;
	}
	read_leg(b, &leg_b);
	for (uint32_t i = 0; i < LINES; i++)
		plan_line(&leg_b, i, vip, ret->b);
	join_lines(&leg_a, &leg_b, vip, direct, ret);
}
