import { fork, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import type { Logger } from '../../telemetry/logger.js'
import type { Clock, Timer } from '../../util/clock.js'
import { packageRoot } from '../../util/package-root.js'
import { Semaphore } from '../../util/semaphore.js'
import type { ImageInspection, ImageOutcome } from './image-inspection.js'
import type { Inspection, InspectionOutcome } from './inspections.js'
import type { PageFacts, PageInspection } from './page-inspection.js'

export interface InspectorDependencies {
  readonly clock: Clock
  readonly logger: Logger
}

/** Nothing is worth more time; the first also loads a library. */
const INSPECTION_MS = 30_000
/** The process ends when there has been nothing to do for so long, and gives its memory back. */
const IDLE_MS = 60_000
const PROCESS = 'src/services/media/inspection-process'

/** Has what strangers send looked at by a process of its own, one after the other. The process comes and goes as needed. */
export class Inspector {
  readonly #deps: InspectorDependencies
  readonly #turns = new Semaphore(1)
  #child: ChildProcess | undefined
  #idle: Timer | undefined

  constructor(deps: InspectorDependencies) {
    this.#deps = deps
  }

  /** What became of a picture; `unusable` when it takes too long or brings the process down. */
  async image(inspection: ImageInspection): Promise<ImageOutcome> {
    const outcome = await this.#inspect(inspection)
    return outcome.kind === 'page' ? { kind: 'unusable', reason: 'it is a page' } : outcome
  }

  /** What a page says of itself; undefined when it takes too long or brings the process down. */
  async page(inspection: PageInspection): Promise<PageFacts | undefined> {
    const outcome = await this.#inspect(inspection)
    return outcome.kind === 'page' ? outcome.facts : undefined
  }

  /** Ends the process; the next inspection brings up another. */
  stop(): void {
    this.#idle?.cancel()
    this.#child?.kill('SIGKILL')
    this.#child = undefined
  }

  #inspect(inspection: Inspection): Promise<InspectionOutcome> {
    return this.#turns.run(async () => {
      this.#idle?.cancel()
      const child = (this.#child ??= startProcess())
      try {
        return await this.#ask(child, inspection)
      } finally {
        this.#idle = this.#deps.clock.setTimeout(() => this.stop(), IDLE_MS)
      }
    })
  }

  async #ask(child: ChildProcess, inspection: Inspection): Promise<InspectionOutcome> {
    child.ref()
    child.channel?.ref()
    const outcome = await new Promise<InspectionOutcome>((resolve) => {
      const settle = (result: InspectionOutcome): void => {
        timer.cancel()
        child.removeAllListeners()
        resolve(result)
      }
      const fail = (reason: string): void => {
        this.#deps.logger.warn({ reason, kind: inspection.kind }, 'A file or page could not be looked at')
        this.stop()
        settle({ kind: 'unusable', reason })
      }
      const timer = this.#deps.clock.setTimeout(() => fail('it takes too long'), INSPECTION_MS)
      child.once('message', (message) => settle(message as InspectionOutcome))
      child.once('exit', (code, signal) => fail(`the process ended (${signal ?? code ?? ''})`))
      child.once('error', (error) => fail(error.message))
      child.send(inspection, (error) => {
        if (error !== null) fail(error.message)
      })
    })
    child.unref()
    child.channel?.unref()
    return outcome
  }
}

/** From the sources through tsx, or from what is built of them. It gets nothing of the server's environment. */
function startProcess(): ChildProcess {
  const isSource = import.meta.filename.endsWith('.ts')
  const root = packageRoot()
  const file = isSource ? join(root, `${PROCESS}.ts`) : join(root, 'dist', `${PROCESS}.js`)
  return fork(file, [], {
    cwd: root,
    serialization: 'advanced',
    execArgv: isSource ? ['--import', 'tsx'] : [],
    env: { PATH: process.env['PATH'], UV_THREADPOOL_SIZE: '2', VIPS_CONCURRENCY: '1' },
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
}
