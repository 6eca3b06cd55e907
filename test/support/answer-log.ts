import { appendFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'

/** An answer that a test has received. */
export interface NotedAnswer {
  readonly operationId: string
  readonly status: number
  /** Of errors that have one. */
  readonly errcode: string | undefined
  /** The line of the test that asked, as far as that can be told: relative to `test/`. */
  readonly test: string
}

/**
 * Writes down which answers tests receive, one line of JSON for each kind, into a file of this process below the
 * directory that `MXHS_ANSWER_LOG` names; without it, nothing. `error-coverage.ts` makes a report of that.
 */
export class AnswerLog {
  readonly #directory = process.env['MXHS_ANSWER_LOG']
  readonly #noted = new Set<string>()

  note(operationId: string, status: number, text: string): void {
    if (this.#directory === undefined) return
    const errcode = status < 400 ? undefined : errcodeIn(text)
    const key = `${operationId} ${status} ${errcode ?? ''}`
    if (this.#noted.has(key)) return
    this.#noted.add(key)
    mkdirSync(this.#directory, { recursive: true })
    const answer: NotedAnswer = { operationId, status, errcode, test: callerOf(new Error()) }
    appendFileSync(join(this.#directory, `${process.pid}.jsonl`), `${JSON.stringify(answer)}\n`)
  }
}

function errcodeIn(text: string): string | undefined {
  return /"errcode":\s*"([\w.]+)"/.exec(text)?.[1]
}

function callerOf({ stack = '' }: Error): string {
  return /test\/((?:integration|conformance|unit)\/[^\s()]+\.test\.ts:\d+)/.exec(stack)?.[1] ?? 'unknown'
}
