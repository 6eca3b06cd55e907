import { CommandFailure, UsageError } from './failures.js'

/** Whether somebody is there to be asked: never in pipelines and scripts. */
export function isInteractive(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY
}

/** Questions go to standard error, so that results can still be redirected. */
async function ask(question: Readonly<Record<string, unknown>>): Promise<unknown> {
  const { default: inquirer } = await import('inquirer')
  const prompt = inquirer.createPromptModule({ output: process.stderr })
  try {
    const { answer } = await prompt<{ answer: unknown }>([{ ...question, name: 'answer' } as never])
    return answer
  } catch (error) {
    if ((error as Error).name === 'ExitPromptError') throw new CommandFailure('Cancelled', { cause: error })
    throw error
  }
}

export interface TextQuestion {
  readonly message: string
  readonly default?: string
  /** What is wrong with an answer; undefined when nothing is. */
  readonly check?: (answer: string) => string | undefined
  /** The flag to name where nobody can be asked. */
  readonly flag: string
}

/** Asks for a line. Throws a `UsageError` where nobody can be asked. */
export async function askText({ message, check, flag, ...rest }: TextQuestion): Promise<string> {
  requireTerminal(flag)
  const validate = (answer: string): string | true => check?.(answer) ?? true
  return String(await ask({ ...rest, type: 'input', message, validate }))
}

/** Asks for a secret twice, without showing it. */
export async function askNewSecret(message: string, flag: string): Promise<string> {
  requireTerminal(flag)
  for (;;) {
    const first = await askHidden(message)
    if (first === '') continue
    if ((await askHidden(`Confirm ${message.toLowerCase()}`)) === first) return first
    process.stderr.write('They are not the same. Once more:\n')
  }
}

async function askHidden(message: string): Promise<string> {
  return String(await ask({ type: 'password', message }))
}

export async function askYesNo(message: string, byDefault: boolean): Promise<boolean> {
  return Boolean(await ask({ type: 'confirm', message, default: byDefault }))
}

export async function askChoice<T extends string>(
  message: string,
  choices: readonly { value: T; name: string }[],
): Promise<T> {
  return (await ask({ type: 'select', message, choices })) as T
}

/** One line of standard input, without its end; the rest is not looked at. */
export async function readStdinLine(): Promise<string> {
  let text = ''
  process.stdin.setEncoding('utf8')
  for await (const chunk of process.stdin as AsyncIterable<string>) {
    text += chunk
    if (text.includes('\n')) break
  }
  return (text.split('\n')[0] ?? '').replace(/\r$/, '')
}

function requireTerminal(flag: string): void {
  if (!isInteractive()) throw new UsageError(`${flag} is missing, and there is no terminal to ask at`)
}
