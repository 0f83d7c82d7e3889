/* SPDX-License-Identifier: MIT */
/* Reads monitor lines. What they mean for the machine is others' concern. */
#include "tools/monitor.h"

#include <stdbool.h>
#include <string.h>

static const struct {
	const char *type;
	enum monitor_kind kind;
} monitor_types[] = {
	{"hello", MONITOR_HELLO},
	{"mark", MONITOR_MARK},
	{"stats", MONITOR_STATS},
	{"log", MONITOR_LOG},
	{"error", MONITOR_ERROR},
	{"panic", MONITOR_PANIC},
};

static bool known_type(const char *type, enum monitor_kind *kind)
{
	for (size_t i = 0; i < sizeof(monitor_types) / sizeof(monitor_types[0]); i++) {
		if (strcmp(type, monitor_types[i].type) == 0) {
			*kind = monitor_types[i].kind;
			return true;
		}
	}
	return false;
}

static const char *text_member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static bool all_numbers(const json_t *object)
{
	const char *name;
	json_t *value;

	if (!json_is_object(object))
		return false;
	json_object_foreach(
		(json_t *)object, name, value) if (!json_is_integer(value)) return false;
	return true;
}

/* Returns false if the line is not as the monitor writes them. */
static bool read_event(struct monitor_event *event, const json_t *object)
{
	event->object = object;
	if (!known_type(text_member(object, "type"), &event->kind))
		return false;
	event->text = text_member(object, "text");
	event->reason = text_member(object, "reason");
	event->id = json_integer_value(json_object_get(object, "id"));
	event->exits = json_object_get(object, "exits");
	event->mmu = json_object_get(object, "mmu");
	if (event->kind != MONITOR_MARK && event->kind != MONITOR_STATS)
		return true;
	return all_numbers(event->exits) && all_numbers(event->mmu);
}

void monitor_line(const char *line, monitor_sink sink, void *who)
{
	struct monitor_event event = {0};
	json_t *object;

	if (line[0] == '\0')
		return;
	object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	if (!object || !read_event(&event, object))
		event = (struct monitor_event){.kind = MONITOR_GARBAGE, .text = line, .reason = ""};
	sink(who, &event);
	json_decref(object);
}
