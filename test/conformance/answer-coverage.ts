/**
 * Whether the tests receive every answer that the specification lists for an operation of the client-server API. A whole
 * run of the tests ends with this (`test/support/reporter.js`). By hand: `MXHS_ANSWER_LOG=<directory> npm test`, then
 * `node --import tsx test/conformance/answer-coverage.ts <directory>`, which names the test of each answer.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { NotedAnswer } from '../support/answer-log.js'
import { listAnswers, type ListedAnswer } from '../support/openapi.js'
import { NOT_ANSWERED } from './not-answered.js'

export { specificationIsHere } from '../support/openapi.js'

/** A listed answer, and a test that has received it. */
interface Reviewed {
  readonly answer: string
  readonly test: string | undefined
}

/** Reads what the tests of a run have written into a directory. */
export function reviewAnswers(directory: string): Reviewed[] {
  const noted = readNoted(directory)
  return listAnswers().map((listed) => ({ answer: nameOf(listed), test: findTest(listed, noted) }))
}

/** What is wrong with a review: nothing where every answer is received, or has a reason not to be, and not both. */
export function findFaults(reviewed: readonly Reviewed[]): string[] {
  const reasons = new Map(
    Object.entries(NOT_ANSWERED).flatMap(([reason, names]) => names.map((name) => [name, reason] as const)),
  )
  const names = new Set(reviewed.map(({ answer }) => answer))
  return [
    ...reviewed.flatMap(({ answer, test }) => {
      const reason = reasons.get(answer)
      if (test === undefined) return reason === undefined ? [`No test receives ${answer}`] : []
      return reason === undefined ? [] : [`${answer} is said not to be answered (${reason}), but is: ${test}`]
    }),
    ...[...reasons.keys()]
      .filter((name) => !names.has(name))
      .map((name) => `${name} is said not to be answered, but is not listed`),
  ]
}

function readNoted(directory: string): NotedAnswer[] {
  const files = readdirSync(directory).filter((name) => name.endsWith('.jsonl'))
  return files.flatMap((name) =>
    readFileSync(join(directory, name), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as NotedAnswer),
  )
}

function nameOf({ operationId, status, errcode }: ListedAnswer): string {
  return [operationId, status, ...(errcode === undefined ? [] : [errcode])].join(' ')
}

function findTest(
  { operationId, status, errcode }: ListedAnswer,
  noted: readonly NotedAnswer[],
): string | undefined {
  return noted.find(
    (answer) =>
      answer.operationId === operationId &&
      answer.status === status &&
      (errcode === undefined || answer.errcode === errcode),
  )?.test
}

if (process.argv[1] === import.meta.filename) {
  const [directory] = process.argv.slice(2)
  if (directory === undefined) {
    process.stderr.write('Name the directory that MXHS_ANSWER_LOG named.\n')
    process.exitCode = 2
  } else {
    const reviewed = reviewAnswers(directory)
    for (const { answer, test = '-' } of reviewed) process.stdout.write(`${answer}\t${test}\n`)
    for (const fault of findFaults(reviewed)) process.stderr.write(`${fault}\n`)
  }
}
