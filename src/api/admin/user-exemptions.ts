import { z } from 'zod'
import { route } from '../../http/route.js'

const rate = z.number().int().min(0).max(1_000_000_000).nullish()

/** The limits of a user's own: `{}` where there are none. */
export const getRatelimitOfUser = route({
  operationId: 'adminGetRatelimitOfUser',
  method: 'GET',
  path: '/_synapse/admin/v1/users/:userId/override_ratelimit',
  auth: 'admin',
  async handler({ params }, { accountOverviews, ratelimitOverrides }) {
    await accountOverviews.show(params.userId)
    const override = ratelimitOverrides.get(params.userId)
    if (override === undefined) return {}
    return { messages_per_second: override.perSecond, burst_count: override.burstCount }
  },
})

/** Gives a user limits of their own; 0 messages a second: the user is not limited. */
export const setRatelimitOfUser = route({
  operationId: 'adminSetRatelimitOfUser',
  method: 'POST',
  path: '/_synapse/admin/v1/users/:userId/override_ratelimit',
  auth: 'admin',
  emptyBody: true,
  body: z.looseObject({ messages_per_second: rate, burst_count: rate }),
  async handler({ params, body }, { accountOverviews, ratelimitOverrides }) {
    await accountOverviews.show(params.userId)
    const override = { perSecond: body.messages_per_second ?? 0, burstCount: body.burst_count ?? 0 }
    await ratelimitOverrides.set(params.userId, override)
    return { messages_per_second: override.perSecond, burst_count: override.burstCount }
  },
})

export const deleteRatelimitOfUser = route({
  operationId: 'adminDeleteRatelimitOfUser',
  method: 'DELETE',
  path: '/_synapse/admin/v1/users/:userId/override_ratelimit',
  auth: 'admin',
  async handler({ params }, { accountOverviews, ratelimitOverrides }) {
    await accountOverviews.show(params.userId)
    await ratelimitOverrides.set(params.userId, undefined)
    return {}
  },
})

/** For ten minutes, the user may replace their cross-signing keys without proving who they are. */
export const allowCrossSigningReplacement = route({
  operationId: 'adminAllowCrossSigningReplacement',
  method: 'POST',
  path: '/_synapse/admin/v1/users/:userId/_allow_cross_signing_replacement_without_uia',
  auth: 'admin',
  async handler({ params }, { accountOverviews, crossSigning }) {
    await accountOverviews.show(params.userId)
    return { updatable_without_uia_before_ms: await crossSigning.allowReplacement(params.userId) }
  },
})
