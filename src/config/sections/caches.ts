import { section } from '../section.js'
import { duration, flag, group, mapOf, quantity, size, withDefault } from '../values.js'

const FACTOR_VARIABLE = 'SYNAPSE_CACHE_FACTOR'

/** How much is kept in memory. */
export const caches = section(
  {
    // Twice Synapse's: a sync of some hundred rooms needs them all at once.
    event_cache_size: withDefault(size, 20 * 1024),
    caches: group({
      global_factor: withDefault(quantity, 0.5),
      per_cache_factors: withDefault(mapOf(quantity, 'a map of names of caches and factors'), {}),
      expire_caches: withDefault(flag, true),
      cache_entry_ttl: withDefault(duration, 30 * 60_000),
      sync_response_cache_duration: withDefault(duration, 2 * 60_000),
    }),
  },
  (raw, context) => {
    const perCacheFactors: Record<string, number> = { ...raw.caches.per_cache_factors }
    let globalFactor = raw.caches.global_factor
    for (const [name, content] of Object.entries(context.env)) {
      if (!name.startsWith(FACTOR_VARIABLE) || content === undefined) continue
      const factor = Number(content)
      if (content === '' || !(factor >= 0)) {
        context.fail(
          [],
          `the environment variable ${name}: expected a number, got ${JSON.stringify(content)}`,
        )
      } else if (name === FACTOR_VARIABLE) {
        globalFactor = factor
      } else {
        perCacheFactors[name.slice(FACTOR_VARIABLE.length + 1).toLowerCase()] = factor
      }
    }
    return {
      /** Multiplies the sizes of all caches. */
      globalFactor,
      /** By the name of the cache, instead of the global one. */
      perCacheFactors,
      /** Events in memory, before factors. */
      eventCacheSize: raw.event_cache_size,
      /** How long an entry stays that nobody asks for; undefined: until there is no room. */
      entryTtlMs: raw.caches.expire_caches ? raw.caches.cache_entry_ttl : undefined,
      syncResponseCacheMs: raw.caches.sync_response_cache_duration,
    }
  },
)
