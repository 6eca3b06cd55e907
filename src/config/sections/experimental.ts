import { isJsonObject, type JsonObject } from '../../util/json.js'
import { section, type SectionContext } from '../section.js'
import { duration, jsonObject, optional, withDefault } from '../values.js'

/** Proposals of which this server knows. */
const SERVED: ReadonlySet<string> = new Set([
  'msc1763_enabled',
  // Refused where it asks for something: it has a key of its own now.
  'msc3861',
  'msc4069_profile_inhibit_propagation',
  // On anyway.
  'msc2836_enabled',
  'msc3266_enabled',
  'msc3773_enabled',
  'msc3814_enabled',
  'msc3827_enabled',
  'msc3967_enabled',
  'msc4076_enabled',
  'msc4133_enabled',
  'msc4151_enabled',
  'msc4155_enabled',
  // Rooms of its own version have it.
  'msc3757_enabled',
  'msc4222_enabled',
  'msc3881_enabled',
  'msc3890_enabled',
  'msc2409_to_device_messages_enabled',
  'msc3202_transaction_extensions',
  'msc3202_device_masquerading',
  'msc4190_device_management',
  'msc4108_enabled',
  'msc4388_mode',
  'msc3575_enabled',
  'msc4306_enabled',
  'msc3391_enabled',
  'msc3381_polls_enabled',
  'msc3930_enabled',
  'msc4210_enabled',
  'msc3874_enabled',
  'msc4140_max_delayed_events_per_user',
  'msc4143_enabled',
  'msc4354_enabled',
])

const RENDEZVOUS_MODES = ['off', 'open', 'authenticated'] as const

const MAX_DELAYED_EVENTS = 100

/** Proposals to the specification that can be switched on. */
export const experimental = section(
  {
    experimental_features: withDefault(jsonObject, {}),
    max_event_delay_duration: optional(duration),
    matrix_rtc: optional(jsonObject),
  },
  ({ experimental_features: features, max_event_delay_duration: maxDelayMs, matrix_rtc: rtc }, context) => {
    for (const [name, content] of Object.entries(features)) {
      if (SERVED.has(name) || content === false) continue
      context.warn(['experimental_features', name], 'this proposal is not served yet')
    }
    const mode = features['msc4388_mode'] ?? 'off'
    const rendezvousMode = RENDEZVOUS_MODES.find((known) => known === mode)
    if (rendezvousMode === undefined) {
      const expectation = `expected one of ${RENDEZVOUS_MODES.join(', ')}`
      context.fail(['experimental_features', 'msc4388_mode'], expectation)
    }
    const maxDelayedEvents = features['msc4140_max_delayed_events_per_user'] ?? MAX_DELAYED_EVENTS
    if (
      typeof maxDelayedEvents !== 'number' ||
      !Number.isSafeInteger(maxDelayedEvents) ||
      maxDelayedEvents < 0
    )
      context.fail(
        ['experimental_features', 'msc4140_max_delayed_events_per_user'],
        'expected a whole number',
      )
    return {
      /** `max_event_delay_duration`: how long events may wait to be sent; undefined: none do. */
      maxEventDelayMs: maxDelayMs === 0 ? undefined : maxDelayMs,
      /** `msc4140_max_delayed_events_per_user` */
      maxDelayedEvents: typeof maxDelayedEvents === 'number' ? maxDelayedEvents : MAX_DELAYED_EVENTS,
      /** `matrix_rtc.transports`: how clients reach each other in calls; undefined without `msc4143_enabled`. */
      rtcTransports: features['msc4143_enabled'] === true ? rtcTransports(rtc, context) : undefined,
      /** `msc3874_enabled`: that filters look at relations, which they always do, is announced. */
      announcesRelationFilters: features['msc3874_enabled'] === true,
      /** `msc3575_enabled`: sliding sync, which newer clients cannot do without; on unless it is switched off. */
      slidingSync: features['msc3575_enabled'] !== false,
      /** `msc2836_enabled`: threads by `m.relationship`; on unless it is switched off. */
      eventRelationships: features['msc2836_enabled'] !== false,
      /** `msc4306_enabled`: subscriptions to threads. */
      threadSubscriptions: features['msc4306_enabled'] === true,
      /** `msc4354_enabled`: events can be told to everybody in a room for a while. */
      stickyEvents: features['msc4354_enabled'] === true,
      /** `msc1763_enabled`: clients are told how long messages are kept. */
      tellsRetention: features['msc1763_enabled'] === true,
      /** `msc3391_enabled`: account data can be removed. */
      accountDataRemoval: features['msc3391_enabled'] === true,
      /** `msc3381_polls_enabled` or `msc3930_enabled`, and `msc4210_enabled`, which takes rules out. */
      defaultPushRules: {
        polls: features['msc3381_polls_enabled'] === true || features['msc3930_enabled'] === true,
        textMentions: features['msc4210_enabled'] !== true,
        threadSubscriptions: features['msc4306_enabled'] === true,
      },
      /** `msc4108_enabled`: devices meet at a URL. */
      rendezvousByUrl: features['msc4108_enabled'] === true,
      /** `msc4388_mode`: who may begin a rendezvous session. */
      rendezvousMode: rendezvousMode ?? 'off',
      /** `msc4069_profile_inhibit_propagation`: changes of profiles may be kept out of memberships. */
      profileInhibitPropagation: features['msc4069_profile_inhibit_propagation'] === true,
    }
  },
)

function rtcTransports(rtc: JsonObject | undefined, context: SectionContext): readonly JsonObject[] {
  const transports = rtc?.['transports'] ?? []
  if (!Array.isArray(transports) || !transports.every(isTransport)) {
    const expectation = 'expected a list of transports: each has a type, and livekit a livekit_service_url'
    context.fail(['matrix_rtc', 'transports'], expectation)
    return []
  }
  return transports
}

function isTransport(value: unknown): value is JsonObject {
  if (!isJsonObject(value) || typeof value['type'] !== 'string') return false
  return value['type'] !== 'livekit' || typeof value['livekit_service_url'] === 'string'
}
