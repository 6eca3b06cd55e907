/**
 * Which of the errors that the specification lists for operations of the client-server API some test has received:
 * `MXHS_ANSWER_LOG=<directory> npm test`, then `node --import tsx test/conformance/error-coverage.ts <directory>`.
 * With `--missing` those that none has. A listed status with several errcodes has a line for each.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { NotedAnswer } from '../support/answer-log.js'
import { listErrors, type ListedError } from '../support/openapi.js'

function readAnswers(directory: string): NotedAnswer[] {
  const files = readdirSync(directory).filter((name) => name.endsWith('.jsonl'))
  return files.flatMap((name) =>
    readFileSync(join(directory, name), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as NotedAnswer),
  )
}

function findTest(
  { operationId, status, errcode }: ListedError,
  answers: readonly NotedAnswer[],
): string | undefined {
  return answers.find(
    (answer) =>
      answer.operationId === operationId &&
      answer.status === status &&
      (errcode === undefined || answer.errcode === errcode),
  )?.test
}

const [directory, option] = process.argv.slice(2)
if (directory === undefined) {
  process.stderr.write('Name the directory that MXHS_ANSWER_LOG named.\n')
  process.exitCode = 2
} else {
  const answers = readAnswers(directory)
  const rows = listErrors().map((error) => ({ ...error, test: findTest(error, answers) }))
  const shown = option === '--missing' ? rows.filter(({ test }) => test === undefined) : rows
  for (const { operationId, status, errcode = '', test = '-' } of shown)
    process.stdout.write(`${[operationId, status, errcode, test].join('\t')}\n`)
  const covered = rows.filter(({ test }) => test !== undefined).length
  process.stderr.write(`${covered} of ${rows.length} listed errors are received by a test\n`)
}
