import { flag, optional, text, withDefault } from '../values.js'
import { moduleKind } from './module-kind.js'

/** What `auto_accept_invites` does as well. https://github.com/matrix-org/synapse-auto-accept-invite */
export const inviteAccepter = moduleKind({
  classes: ['synapse_auto_accept_invite.InviteAutoAccepter'],
  keys: {
    accept_invites_only_for_direct_messages: withDefault(flag, false),
    accept_invites_only_from_local_users: withDefault(flag, false),
    worker_to_run_on: optional(text),
  },
  build: (raw) => ({
    kind: 'inviteAccepter' as const,
    onlyDirect: raw.accept_invites_only_for_direct_messages,
    onlyFromOurs: raw.accept_invites_only_from_local_users,
  }),
})
