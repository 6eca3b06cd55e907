/** A stream that readers follow, each with positions of its own. */
export type StreamName =
  | 'events'
  | 'receipts'
  | 'account_data'
  | 'presence'
  | 'typing'
  | 'to_device'
  | 'device_lists'
  | 'push_rules'
  | 'thread_subscriptions'
