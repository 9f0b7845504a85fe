import { type EnvoyObject, typed } from './envoy-object.ts'

/**
 * Another try only while the site has answered nothing: the connection was refused, the stream was refused, or it broke
 * before the request had left. With previous_priorities the second try goes to an aggregate's next member; without it
 * all tries stay on the dead one. A cluster that is no aggregate has one priority, for which it changes nothing.
 */
export const RETRY_BEFORE_FIRST_BYTE: EnvoyObject = {
  retry_on: 'connect-failure,refused-stream,reset-before-request',
  num_retries: 2,
  retry_back_off: { base_interval: '0.005s', max_interval: '0.025s' },
  retry_priority: {
    name: 'envoy.retry_priorities.previous_priorities',
    typed_config: typed('extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig', {
      update_frequency: 1,
    }),
  },
}
