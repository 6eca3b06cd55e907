import { doImageJob, loadSharp, type ImageJob } from './image-work.js'

/**
 * A process of its own in which pictures of strangers are looked at: it may be killed when one takes too long, and
 * whatever goes wrong in it goes wrong there alone. It ends with its parent.
 */
const sharp = loadSharp()

process.on('message', (job: ImageJob) => {
  void sharp
    .then((module) => doImageJob(module, job))
    .catch((error: unknown) => ({ kind: 'unusable', reason: String(error) }))
    .then((outcome) => process.send?.(outcome))
})

process.on('disconnect', () => {
  process.exit()
})
