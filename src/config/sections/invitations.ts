import { section } from '../section.js'
import { flag, group, withDefault } from '../values.js'

/** What becomes of invitations without anybody's doing. */
export const invitations = section(
  {
    auto_accept_invites: group({
      enabled: withDefault(flag, false),
      only_for_direct_messages: withDefault(flag, false),
      only_from_local_users: withDefault(flag, false),
    }),
  },
  ({ auto_accept_invites: raw }) => ({
    /** Those that are accepted for people of this server; undefined: none. */
    accepted: raw.enabled
      ? { onlyDirect: raw.only_for_direct_messages, onlyFromOurs: raw.only_from_local_users }
      : undefined,
  }),
)
