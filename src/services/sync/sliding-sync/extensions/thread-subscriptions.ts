import type { JsonObject, JsonValue } from '../../../../util/json.js'
import { badJson, invalidParam } from '../../../../protocol/errors.js'
import {
  formatSubscriptionsToken,
  subscriptionsJson,
  type ThreadSubscriptions,
} from '../../../rooms/thread-subscriptions.js'
import { resumedAt } from './paused-extensions.js'
import type { Extension, ExtensionFrame, ExtensionResult } from './extension.js'

const DEFAULT_LIMIT = 100
const MAX_LIMIT = 500

/** Which threads the user is notified of. https://github.com/matrix-org/matrix-spec-proposals/pull/4308 */
export class ThreadSubscriptionsExtension implements Extension {
  readonly #subscriptions: Pick<ThreadSubscriptions, 'listChanges'>

  constructor(subscriptions: Pick<ThreadSubscriptions, 'listChanges'>) {
    this.#subscriptions = subscriptions
  }

  /** Nothing where nothing has changed. */
  async load(
    { viewer, pos, nowThreads }: ExtensionFrame,
    settings: JsonObject,
  ): Promise<ExtensionResult | undefined> {
    const from = resumedAt(pos, 'io.element.msc4308.thread_subscriptions')?.threads ?? 0
    const range = { from, to: nowThreads, limit: parseLimit(settings['limit']) }
    const { changes, next } = await this.#subscriptions.listChanges(viewer.userId, range)
    if (changes.length === 0) return undefined
    const more = next === undefined ? {} : { prev_batch: formatSubscriptionsToken(next) }
    return { json: { ...subscriptionsJson(changes), ...more }, hasNews: true }
  }
}

function parseLimit(limit: JsonValue | undefined): number {
  if (limit === undefined || limit === null) return DEFAULT_LIMIT
  if (typeof limit !== 'number' || !Number.isInteger(limit))
    throw badJson('extensions: the limit of thread subscriptions must be an integer')
  if (limit < 1) throw invalidParam('extensions: the limit of thread subscriptions must be at least 1')
  return Math.min(limit, MAX_LIMIT)
}
