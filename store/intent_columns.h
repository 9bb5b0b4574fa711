#pragma once

/// SQL of both dialects: what `ReadIntent` reads of `intents AS i`. Statements are literals, hence
/// a macro. Most commands go well and nothing is written about that: a journaled one whose lease
/// has ended is sent.
#define INTENT_COLUMNS                                                                       \
  "i.command_uuid, i.request_type, i.payload_identifier, i.payload_uuid, i.epoch, "          \
  "CASE WHEN i.state = 'journaled' AND NOT EXISTS "                                          \
  "(SELECT 1 FROM leases WHERE leases.lease_id = i.lease_id) THEN 'sent' ELSE i.state END, " \
  "i.journaled_at, i.answered_at, i.not_now_count, i.not_now_at, i.error_class, i.error"
