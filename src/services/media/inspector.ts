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

/** Nothing is worth more time. */
const INSPECTION_MS = 30_000
/** Of a new process, on a machine that has much to do. */
const START_MS = 60_000
/** The process ends when there has been nothing to do for so long, and gives its memory back. */
const IDLE_MS = 60_000
const PROCESS = 'src/services/media/inspection-process'

/** Has what strangers send looked at by a process of its own, one after the other. The process comes and goes as needed. */
export class Inspector {
  readonly #deps: InspectorDependencies
  readonly #turns = new Semaphore(1)
  #child: ChildProcess | undefined
  #idle: Timer | undefined
  #isStopped = false

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

  /** Ends the process, and whatever it looks at; nothing is looked at any more. */
  stop(): void {
    this.#isStopped = true
    this.#end()
  }

  #inspect(inspection: Inspection): Promise<InspectionOutcome> {
    return this.#turns.run(async () => {
      if (this.#isStopped) return { kind: 'unusable', reason: 'the server stops' }
      this.#idle?.cancel()
      const isNew = this.#child === undefined
      this.#child ??= this.#start()
      try {
        return await this.#ask(this.#child, inspection, isNew ? START_MS + INSPECTION_MS : INSPECTION_MS)
      } finally {
        this.#idle = this.#deps.clock.setTimeout(() => this.#end(), IDLE_MS)
      }
    })
  }

  #start(): ChildProcess {
    const child = startProcess()
    // Also when nothing is being looked at: the next inspection brings up another.
    child.on('error', () => undefined)
    child.on('exit', () => {
      if (this.#child === child) this.#child = undefined
    })
    return child
  }

  #end(): void {
    this.#idle?.cancel()
    this.#child?.kill('SIGKILL')
    this.#child = undefined
  }

  async #ask(child: ChildProcess, inspection: Inspection, timeoutMs: number): Promise<InspectionOutcome> {
    child.ref()
    child.channel?.ref()
    try {
      return await this.#answerOf(child, inspection, timeoutMs)
    } catch (error) {
      const reason = (error as Error).message
      this.#deps.logger.warn({ reason, kind: inspection.kind }, 'A file or page could not be looked at')
      this.#end()
      return { kind: 'unusable', reason }
    } finally {
      child.unref()
      child.channel?.unref()
    }
  }

  /** Rejects when none comes. */
  #answerOf(child: ChildProcess, inspection: Inspection, timeoutMs: number): Promise<InspectionOutcome> {
    return new Promise((resolve, reject) => {
      const settle = (finish: () => void): void => {
        timer.cancel()
        child.off('message', onMessage).off('exit', onExit).off('error', onError)
        finish()
      }
      const onError = (error: Error): void => settle(() => reject(error))
      const onMessage = (message: unknown): void => settle(() => resolve(message as InspectionOutcome))
      const onExit = (code: number | null, signal: string | null): void =>
        onError(new Error(`the process ended (${signal ?? code ?? ''})`))
      const timer = this.#deps.clock.setTimeout(() => onError(new Error('it takes too long')), timeoutMs)
      child.on('message', onMessage).on('exit', onExit).on('error', onError)
      child.send(inspection, (error) => {
        if (error !== null) onError(error)
      })
    })
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
