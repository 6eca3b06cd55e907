import { inspect, type Inspection } from './inspections.js'

/**
 * A process of its own in which files and pages of strangers are looked at: it may be killed when one takes too long,
 * and whatever goes wrong in it goes wrong there alone. It ends with its parent.
 */
process.on('message', (inspection: Inspection) => {
  void inspect(inspection)
    .catch((error: unknown) => ({ kind: 'unusable', reason: String(error) }))
    .then((outcome) => process.send?.(outcome))
})

process.on('disconnect', () => {
  process.exit()
})
