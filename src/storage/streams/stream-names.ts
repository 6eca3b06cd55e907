/** The streams that readers follow, each with positions of its own. */
const STREAM_NAMES = [
  'events',
  'receipts',
  'account_data',
  'presence',
  'typing',
  'to_device',
  'device_lists',
  'push_rules',
  'thread_subscriptions',
] as const

export type StreamName = (typeof STREAM_NAMES)[number]
