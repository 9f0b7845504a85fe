/** Plain data as YAML in block style, for pages and messages; texts that YAML could take for something else are quoted. */
export const yamlText = (value: unknown, indent = ''): string => {
  if (Array.isArray(value)) {
    return value.map((item) => `${indent}- ${yamlText(item, `${indent}  `).trimStart()}`).join('')
  }
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value)
      .map(([key, field]) =>
        typeof field === 'object' && field !== null
          ? `${indent}${scalar(key)}:\n${yamlText(field, `${indent}  `)}`
          : `${indent}${scalar(key)}: ${scalar(field)}\n`,
      )
      .join('')
  }
  return `${indent}${scalar(value)}\n`
}

const scalar = (value: unknown): string =>
  typeof value === 'string' && /^[A-Za-z/][\w./@:+-]*$/.test(value) && !/^(true|false|null|yes|no|on|off)$/i.test(value)
    ? value
    : JSON.stringify(value)
