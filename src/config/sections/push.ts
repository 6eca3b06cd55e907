import { section } from '../section.js'
import { duration, flag, group, withDefault } from '../values.js'

/** Notifications. */
export const push = section(
  {
    push: group({
      enabled: withDefault(flag, true),
      include_content: withDefault(flag, true),
      group_unread_count_by_room: withDefault(flag, true),
      jitter_delay: withDefault(duration, 0),
    }),
  },
  ({ push: raw }) => ({
    /** False: rules are kept but not evaluated, and nothing counts as unread. */
    enabled: raw.enabled,
    includeContent: raw.include_content,
    /** Badges count rooms, not messages. */
    countsRooms: raw.group_unread_count_by_room,
    jitterMs: raw.jitter_delay,
  }),
)
