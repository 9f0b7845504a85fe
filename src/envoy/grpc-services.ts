import type {
  ServerDuplexStream,
  ServerReadableStream,
  ServerUnaryCall,
  sendUnaryData,
  UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { status } from '@grpc/grpc-js'
import { type AccessLogs, NOTHING } from './access-log-service.ts'
import { END, type Handlers, type StreamState } from './handlers.ts'
import type { Active } from './transports.ts'

// Messages stay bytes here: a codec that threw inside grpc-js would answer before the handler hears of it.
const unchanged = (bytes: Buffer): Buffer => bytes

const method = (path: string, requestStream: boolean, responseStream = requestStream) => ({
  path,
  requestStream,
  responseStream,
  requestSerialize: unchanged,
  requestDeserialize: unchanged,
  responseSerialize: unchanged,
  responseDeserialize: unchanged,
})

/** The definition of envoy.service.ext_proc.v3.ExternalProcessor, messages as bytes. */
export const EXT_PROC_SERVICE = { Process: method('/envoy.service.ext_proc.v3.ExternalProcessor/Process', true) }

/** The definition of envoy.service.auth.v3.Authorization, messages as bytes. */
export const EXT_AUTHZ_SERVICE = { Check: method('/envoy.service.auth.v3.Authorization/Check', false) }

/** The definition of envoy.service.accesslog.v3.AccessLogService, messages as bytes. */
export const ACCESS_LOG_SERVICE = {
  StreamAccessLogs: method('/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs', true, false),
}

const INTERNAL = { code: status.INTERNAL, details: 'hubward could not answer' }

/** What answers ext_proc: one stream for each request of a client. */
export const extProcService = (handlers: Handlers, active: Active): UntypedServiceImplementation => ({
  Process(call: ServerDuplexStream<Buffer, Buffer>) {
    const state: StreamState = {}
    let open = true
    active.count += 1
    const ended = (): void => {
      if (!open) return
      open = false
      active.count -= 1
      state.gone?.()
    }
    const fail = (): void => void call.emit('error', Object.assign(new Error(INTERNAL.details), INTERNAL))
    state.send = (answer) => {
      if (open) call.write(answer)
    }
    state.fail = () => {
      if (open) fail()
    }
    // Envoy ends every stream by a reset, also after a good answer: `cancelled` is the normal end and no error.
    call.on('cancelled', ended).on('close', ended).on('error', ended)
    call.on('end', () => {
      call.end()
      ended()
    })
    // A peer that asks and never reads must not fill the memory with answers.
    call.on('drain', () => call.resume())
    call.on('data', (message: Buffer) => {
      if (!open) return
      try {
        const answer = handlers.process(message, state)
        if (answer === END) {
          call.end()
          ended()
        } else if (answer !== undefined && !call.write(answer)) call.pause()
      } catch (error) {
        handlers.failed(error, 'ext_proc')
        fail()
      }
    })
  },
})

/** What answers ext_authz. */
export const extAuthzService = (handlers: Handlers, active: Active): UntypedServiceImplementation => ({
  Check(call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) {
    active.count += 1
    try {
      done(null, handlers.check(call.request))
    } catch (error) {
      handlers.failed(error, 'ext_authz')
      done(INTERNAL)
    } finally {
      active.count -= 1
    }
  },
})

/** What answers access logs under grpc-js. */
export const accessLogService = (logs: AccessLogs): UntypedServiceImplementation => ({
  StreamAccessLogs(call: ServerReadableStream<Buffer, Buffer>, done: sendUnaryData<Buffer>) {
    const { message, halfClosed, gone } = logs.open({
      pause: () => call.pause(),
      resume: () => call.resume(),
      end: (refusal) => (refusal === undefined ? done(null, NOTHING) : done(refusal)),
    })
    call.on('cancelled', gone).on('close', gone).on('error', gone).on('end', halfClosed).on('data', message)
  },
})
