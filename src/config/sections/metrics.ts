import { section } from '../section.js'
import { flag, withDefault } from '../values.js'

/** What the server says of its own work. */
export const metrics = section(
  { enable_metrics: withDefault(flag, false) },
  ({ enable_metrics: enabled }) => ({
    /** Whether `metrics` listeners and resources answer. */
    enabled,
  }),
)
