import { spawn } from 'node:child_process'
import { captureOutput } from '@oclif/test'
import { packageRoot } from '../../src/util/package-root.js'
import { builtProgram } from './built-program.js'

interface CommandClass {
  run(argv: string[], options: { root: string }): Promise<unknown>
}

/** What a command has printed, and how it ended. */
export interface CommandResult {
  readonly stdout: string
  readonly stderr: string
  readonly exitCode: number
}

/** Runs a command of the sources in this process: quick, without a terminal, and without standard input. */
export async function runCommand(command: CommandClass, ...argv: string[]): Promise<CommandResult> {
  const before = process.exitCode
  process.exitCode = undefined
  const { stdout, stderr, error } = await captureOutput(() => command.run(argv, { root: packageRoot() }))
  // A command that has something to say may go on to its end, and say with what it ends.
  const atEnd = exitCodeNow()
  process.exitCode = before
  const { oclif } = (error ?? {}) as { oclif?: { exit?: number } }
  return { stdout, stderr, exitCode: error === undefined ? atEnd : (oclif?.exit ?? 1) }
}

function exitCodeNow(): number {
  return Number(process.exitCode ?? 0)
}

/** Runs `mxhs` as a process of its own, as it is installed; `input` goes to its standard input, `env` to its environment. */
export function runProgram(
  argv: readonly string[],
  options: { input?: string; env?: Readonly<Record<string, string>> } = {},
): Promise<CommandResult> {
  const child = spawn(process.execPath, [builtProgram(), ...argv], {
    stdio: ['pipe', 'pipe', 'pipe'],
    // Neither the runner's colours nor its marks that npm started it.
    env: { PATH: process.env['PATH'], ...options.env },
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk))
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk))
  child.stdin.on('error', () => undefined).end(options.input ?? '')
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (exitCode) => resolve({ stdout, stderr, exitCode: exitCode ?? -1 }))
  })
}
