# bash completion for holdfast(1). Names of instances come from the node itself, if it answers.

_holdfast_instances()
{
    local words=(status --json) i
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == --@(node|state) ]] && words+=("${COMP_WORDS[i]}" "${COMP_WORDS[i + 1]}")
    done
    # One object a service, one an instance: their names are the first "name" after each brace.
    holdfast "${words[@]}" 2>/dev/null | tr -d '\n' | sed 's/.*"services"//' | grep -o '"name": *"[^"]*"\|"instances"\|\]' |
        awk -F'"' '$2 == "instances" { inside = 1; next }
                   $0 == "]" { inside = 0; next }
                   inside { print service "/" $4; next }
                   { service = $4 }'
}

_holdfast_nodes()
{
    local words=(members --json) i
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == --state ]] && words+=(--state "${COMP_WORDS[i + 1]}")
    done
    holdfast "${words[@]}" 2>/dev/null | tr -d '\n' | sed 's/.*"members"//' | grep -o '"name": *"[^"]*"' | cut -d'"' -f4
}

_holdfast()
{
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} options
    local commands='run check reload plan apply history rollback coordinator status top events why roles switchover failover drain resume instance beat beats members leave maintenance token join key restart upgrade version help'
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "$commands --help --version" -- "$word")
        return
    fi
    case $before in
    --binary | --key | --from)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    --state)
        mapfile -t COMPREPLY < <(compgen -d -- "$word")
        return
        ;;
    --log)
        mapfile -t COMPREPLY < <(compgen -W 'error warning info debug' -- "$word")
        return
        ;;
    --wait | -w)
        [[ ${COMP_WORDS[1]} == leave ]] || return
        ;;
    --since | --until | --subject | --code | --at | --last | -n | --weight | --priority | --name | --node | --failed | --ttl | --note | --service | --mtbf | --repair | --copies | --voters | --sync | --detect | --failover | --data-mtbf | --resync | --lag) return ;;
    esac
    case ${COMP_WORDS[1]} in
    run) options='--log --node --state' ;;
    check) options='--node --json' ;;
    reload) options='--json --node --state --admin --token-file' ;;
    plan) options='--availability --mtbf --repair --copies --voters --sync --detect --failover --data-mtbf --resync --lag --json --node --state --admin --token-file' ;;
    apply | rollback) options='--yes --note --wait --json --node --state --admin --token-file' ;;
    history) options='--last --json --node --state --admin --token-file' ;;
    coordinator) options='backup restore --from --force --yes --wait --json --node --state --admin --token-file' ;;
    status) options='--fail --json --node --state --admin --token-file' ;;
    top) options='--once --json --node --state --admin --token-file' ;;
    events) options='--follow --since --until --subject --code --last --json --node --state --admin --token-file' ;;
    why) options='--at --all --json --node --state --admin --token-file' ;;
    roles) options='--fail --json --node --state --admin --token-file' ;;
    switchover) options='to --wait --json --node --state --admin --token-file' ;;
    failover) options='to --force --yes --wait --json --node --state --admin --token-file' ;;
    drain) options='--wait --json --node --state --admin --token-file' ;;
    resume) options='--json --node --state --admin --token-file' ;;
    instance) options='list add remove drain undrain weight --weight --priority --name --drained --json --node --state --admin --token-file' ;;
    beat) options='--failed --json --node --state --admin --token-file' ;;
    beats) options='--fail --json --node --state --admin --token-file' ;;
    members) options='--fail --json --node --state --admin --token-file' ;;
    leave) options='--wait --json --node --state --admin --token-file' ;;
    maintenance) options='on off --service --json --node --state --admin --token-file' ;;
    key) options='new show add use drop rotate --json'
        [[ ${COMP_WORDS[2]} == rotate ]] && options='--force --wait --json --node --state --admin --token-file'
        ;;
    token) options='--ttl --name --json --node --state --admin --token-file' ;;
    join) options='--key --node --json' ;;
    restart) options='proxy --now --wait --json --node --state --admin --token-file' ;;
    upgrade) options='--binary --wait --json --node --state --admin --token-file' ;;
    version) options='--json' ;;
    help) options="$commands exit-codes files" ;;
    *) return ;;
    esac
    case ${COMP_WORDS[1]}:$word in
    *:-*) ;;
    key:*)
        ((COMP_CWORD > 2)) && options='--json'
        [[ ${COMP_WORDS[2]} != rotate ]] || ((COMP_CWORD == 2)) || return
        ((COMP_CWORD != 3)) || mapfile -t COMPREPLY < <(compgen -f -- "$word")
        ((COMP_CWORD != 3)) || return
        ;;
    run:* | check:* | plan:* | apply:*)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    maintenance:*)
        if [[ " ${COMP_WORDS[*]:2:COMP_CWORD-2} " == *" on "* || " ${COMP_WORDS[*]:2:COMP_CWORD-2} " == *" off "* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "$(_holdfast_nodes)" -- "$word")
            return
        fi
        ;;
    drain:* | resume:*)
        # readline splits words at colons: offer what follows the last one that is there.
        local whole=$word i=$COMP_CWORD
        while ((i > 2)) && [[ ${COMP_WORDS[i]} == : || ${COMP_WORDS[i - 1]} == : ]]; do
            whole=${COMP_WORDS[--i]}$whole
        done
        mapfile -t COMPREPLY < <(compgen -W "$(_holdfast_instances)" -- "$whole")
        [[ $whole == *:* ]] && COMPREPLY=("${COMPREPLY[@]#"${whole%"${whole##*:}"}"}")
        return
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$options --help" -- "$word")
}

complete -o filenames -F _holdfast holdfast
