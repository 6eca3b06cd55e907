import { z } from 'zod'
import { json } from '../../http/responses.js'
import { route } from '../../http/route.js'
import { localpart, localpartBody } from './localpart-body.js'

/** Whom the service asks about. */
export const queryUser = route({
  operationId: 'unstableServiceQueryUser',
  method: 'GET',
  path: '/_synapse/mas/query_user',
  auth: 'authenticationService',
  accounts: 'delegated',
  query: z.looseObject({ localpart }),
  async handler({ query }, { delegatedAccounts }) {
    const { user, profile } = await delegatedAccounts.show(query.localpart)
    return {
      user_id: user.userId,
      display_name: profile?.displayName ?? null,
      avatar_url: profile?.avatarUrl ?? null,
      is_suspended: user.isSuspended,
      is_deactivated: user.isDeactivated,
    }
  },
})

export const isLocalpartAvailable = route({
  operationId: 'unstableServiceIsLocalpartAvailable',
  method: 'GET',
  path: '/_synapse/mas/is_localpart_available',
  auth: 'authenticationService',
  accounts: 'delegated',
  query: z.looseObject({ localpart }),
  async handler({ query }, { delegatedAccounts }) {
    await delegatedAccounts.checkAvailable(query.localpart)
    return {}
  },
})

const MAX_EMAILS = 100
const displayName = z.string().max(256)
const avatarUrl = z.string().max(1000)
const emails = z.array(z.string().min(1).max(500)).max(MAX_EMAILS)

/** Only one of both may be there, whatever its value. */
function excludes(a: string, b: string) {
  return [
    (body: Readonly<Record<string, unknown>>) => !(Object.hasOwn(body, a) && Object.hasOwn(body, b)),
    `Cannot specify both ${a} and ${b}`,
  ] as const
}

const provisionBody = localpartBody.extend({
  unset_displayname: z.boolean().default(false),
  set_displayname: displayName.nullish(),
  unset_avatar_url: z.boolean().default(false),
  set_avatar_url: avatarUrl.nullish(),
  unset_emails: z.boolean().default(false),
  set_emails: emails.nullish(),
  locked: z.boolean().nullish(),
})

/** Makes an account (201), or one that is there as the service wants it (200). */
export const provisionUser = route({
  operationId: 'unstableServiceProvisionUser',
  method: 'POST',
  path: '/_synapse/mas/provision_user',
  auth: 'authenticationService',
  accounts: 'delegated',
  // Looked at before defaults are filled in.
  body: z
    .looseObject({})
    .refine(...excludes('unset_displayname', 'set_displayname'))
    .refine(...excludes('unset_avatar_url', 'set_avatar_url'))
    .refine(...excludes('unset_emails', 'set_emails'))
    .pipe(provisionBody),
  async handler({ body }, { delegatedAccounts }) {
    const isNew = await delegatedAccounts.provision(body.localpart, {
      displayName: body.unset_displayname ? null : (body.set_displayname ?? undefined),
      avatarUrl: body.unset_avatar_url ? null : (body.set_avatar_url ?? undefined),
      emails: body.unset_emails ? [] : (body.set_emails ?? undefined),
      isLocked: body.locked ?? undefined,
    })
    return json(isNew ? 201 : 200, {})
  },
})

export const deleteUser = route({
  operationId: 'unstableServiceDeleteUser',
  method: 'POST',
  path: '/_synapse/mas/delete_user',
  auth: 'authenticationService',
  accounts: 'delegated',
  body: localpartBody.extend({ erase: z.boolean() }),
  async handler({ body }, { delegatedAccounts }) {
    await delegatedAccounts.delete(body.localpart, { erase: body.erase })
    return {}
  },
})

export const reactivateUser = route({
  operationId: 'unstableServiceReactivateUser',
  method: 'POST',
  path: '/_synapse/mas/reactivate_user',
  auth: 'authenticationService',
  accounts: 'delegated',
  body: localpartBody,
  async handler({ body }, { delegatedAccounts }) {
    await delegatedAccounts.reactivate(body.localpart)
    return {}
  },
})

export const setDisplayName = route({
  operationId: 'unstableServiceSetDisplayName',
  method: 'POST',
  path: '/_synapse/mas/set_displayname',
  auth: 'authenticationService',
  accounts: 'delegated',
  body: localpartBody.extend({ displayname: displayName }),
  async handler({ body }, { delegatedAccounts }) {
    await delegatedAccounts.setDisplayName(body.localpart, body.displayname)
    return {}
  },
})

export const unsetDisplayName = route({
  operationId: 'unstableServiceUnsetDisplayName',
  method: 'POST',
  path: '/_synapse/mas/unset_displayname',
  auth: 'authenticationService',
  accounts: 'delegated',
  body: localpartBody,
  async handler({ body }, { delegatedAccounts }) {
    await delegatedAccounts.setDisplayName(body.localpart, null)
    return {}
  },
})

/** What the service has asked a user for is not asked for here again. */
export const allowCrossSigningReset = route({
  operationId: 'unstableServiceAllowCrossSigningReset',
  method: 'POST',
  path: '/_synapse/mas/allow_cross_signing_reset',
  auth: 'authenticationService',
  accounts: 'delegated',
  body: localpartBody,
  async handler({ body }, { delegatedAccounts }) {
    await delegatedAccounts.allowKeyReset(body.localpart)
    return {}
  },
})
