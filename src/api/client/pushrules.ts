import { z } from 'zod'
import { invalidParam, notFound, unrecognized } from '../../protocol/errors.js'
import { PUSH_RULE_KINDS, type PushRuleKind } from '../../protocol/push-rules.js'
import { route } from '../../http/route.js'
import type { RuleName } from '../../services/accounts/push-rules.js'
import type { JsonValue } from '../../util/json.js'
import { jsonObject } from './json-object.js'

const RULE = '/_matrix/client/v3/pushrules/global/:kind/:ruleId'

interface RuleParams {
  readonly kind: string
  readonly ruleId: string
}

/** Of a rule that should be there: 404 `M_NOT_FOUND` for kinds that rules do not have. */
function ruleNameOf({ kind, ruleId }: RuleParams): RuleName {
  if (!isRuleKind(kind)) throw notFound('The push rule was not found')
  return { kind, ruleId }
}

function isRuleKind(kind: string): kind is PushRuleKind {
  return (PUSH_RULE_KINDS as readonly string[]).includes(kind)
}

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3pushrules */
export const getPushRules = route({
  operationId: 'getPushRules',
  method: 'GET',
  path: '/_matrix/client/v3/pushrules/',
  auth: 'user',
  handler({ requester }, { pushRules }) {
    return pushRules.get(requester.userId)
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3pushrulesglobal */
export const getPushRulesGlobal = route({
  operationId: 'getPushRulesGlobal',
  method: 'GET',
  path: '/_matrix/client/v3/pushrules/global/',
  auth: 'user',
  async handler({ requester }, { pushRules }) {
    return (await pushRules.get(requester.userId))['global']
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3pushrulesglobalkindruleid */
export const getPushRule = route({
  operationId: 'getPushRule',
  method: 'GET',
  path: RULE,
  auth: 'user',
  async handler({ params, requester }, { pushRules }) {
    const { kind, ruleId } = params
    if (ruleId !== '') return pushRules.getRule(requester.userId, ruleNameOf(params))
    // No rule has an empty name: all of the kind are asked for.
    if (!isRuleKind(kind)) throw invalidParam(`There are no push rules of the kind ${kind}`)
    return pushRules.listKind(requester.userId, kind)
  },
})

/** https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3pushrulesglobalkindruleid */
export const setPushRule = route({
  operationId: 'setPushRule',
  method: 'PUT',
  path: RULE,
  auth: 'user',
  query: z.object({ before: z.string().optional(), after: z.string().optional() }),
  body: jsonObject,
  async handler({ params, query, body, requester }, { pushRules }) {
    const { kind, ruleId } = params
    if (!isRuleKind(kind)) throw invalidParam(`There are no push rules of the kind ${kind}`)
    await pushRules.putRule(requester.userId, { kind, ruleId }, { body, place: query })
    return {}
  },
})

/** https://spec.matrix.org/latest/client-server-api/#delete_matrixclientv3pushrulesglobalkindruleid */
export const deletePushRule = route({
  operationId: 'deletePushRule',
  method: 'DELETE',
  path: RULE,
  auth: 'user',
  async handler({ params, requester }, { pushRules }) {
    await pushRules.deleteRule(requester.userId, ruleNameOf(params))
    return {}
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3pushrulesglobalkindruleidenabled */
export const isPushRuleEnabled = route({
  operationId: 'isPushRuleEnabled',
  method: 'GET',
  path: `${RULE}/enabled`,
  auth: 'user',
  async handler({ params, requester }, { pushRules }) {
    const { enabled } = await pushRules.getRule(requester.userId, ruleNameOf(params))
    return { enabled }
  },
})

/** https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3pushrulesglobalkindruleidenabled */
export const setPushRuleEnabled = route({
  operationId: 'setPushRuleEnabled',
  method: 'PUT',
  path: `${RULE}/enabled`,
  auth: 'user',
  body: z.looseObject({ enabled: z.boolean() }),
  async handler({ params, body, requester }, { pushRules }) {
    await pushRules.setEnabled(requester.userId, ruleNameOf(params), body.enabled)
    return {}
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3pushrulesglobalkindruleidactions */
export const getPushRuleActions = route({
  operationId: 'getPushRuleActions',
  method: 'GET',
  path: `${RULE}/actions`,
  auth: 'user',
  async handler({ params, requester }, { pushRules }) {
    const { actions } = await pushRules.getRule(requester.userId, ruleNameOf(params))
    return { actions }
  },
})

/** https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3pushrulesglobalkindruleidactions */
export const setPushRuleActions = route({
  operationId: 'setPushRuleActions',
  method: 'PUT',
  path: `${RULE}/actions`,
  auth: 'user',
  body: z.looseObject({ actions: z.unknown() }),
  async handler({ params, body, requester }, { pushRules }) {
    await pushRules.setActions(requester.userId, ruleNameOf(params), body.actions as JsonValue | undefined)
    return {}
  },
})

const NO_RULE = '/_matrix/client/v3/pushrules/*'

/**
 * What is below the rules and names none: of another scope, without an ID or the last slash, with another attribute.
 * Other unknown paths are 404 or 405, as the specification has it; here Synapse and Dendrite answer 400.
 */
export const getUnknownPushRule = route({
  operationId: 'getUnknownPushRule',
  method: 'GET',
  path: NO_RULE,
  auth: 'user',
  handler: () => Promise.reject(unrecognized(400)),
})

/** As `getUnknownPushRule`. */
export const setUnknownPushRule = route({
  operationId: 'setUnknownPushRule',
  method: 'PUT',
  path: NO_RULE,
  auth: 'user',
  handler: () => Promise.reject(unrecognized(400)),
})
