# Guardian: kills all processes of a stack when its owner has ended for any reason.
#
# Standard input is a pipe from the owner. The line "released" means that the processes may outlive the owner; end of file without that
# line means that the owner has ended. $1 is a file with a line for each process: pid, start time in ticks, boot id. Lines "detached",
# program, folder, separated by tabs, stand for all processes that run this program in this folder: they may be descendants of none.
#
# A shell script because a shell is always available, while a test of another crate does not have this crate's program.

trap '' HUP INT QUIT TERM
read -r word && [ "$word" = released ] && exit 0
[ -f "$1" ] || exit 0
read -r this_boot </proc/sys/kernel/random/boot_id

# Sets state, parent and began of process $1. Fails if there is no such process.
look_at() {
    read -r line <"/proc/$1/stat" || return 1
    # The process name may contain any character, so fields are counted from its end.
    set -- ${line##*) }
    state=$1 parent=$2
    shift 19
    began=$1
}

tab=$(printf '\t')

# Whether a line "detached" stands for process $1.
is_detached() {
    [ -n "$detached" ] || return 1
    while IFS=$tab read -r word program folder_of; do
        [ "/proc/$1/exe" -ef "$program" ] && [ "/proc/$1/cwd" -ef "$folder_of" ] && return 0
    done <<LINES
$detached
LINES
    return 1
}

# Every pid is between blanks, so that none matches part of another.
known=
detached=$(grep "^detached$tab" "$1" | sort -u)
while read -r pid start boot; do
    [ "$pid" = detached ] && continue
    look_at "$pid" && [ "$began" = "$start" ] && [ "$boot" = "$this_boot" ] && known="$known $pid "
done <"$1"

# Everything is stopped before anything is killed: a running process might start another one, and the children of a killed process can no
# longer be found.
found=yes
while [ -n "$found" ]; do
    found=
    for pid in $known; do kill -STOP "$pid"; done
    for folder in /proc/[0-9]*; do
        pid=${folder#/proc/}
        look_at "$pid" || continue
        [ "$state" = Z ] && continue
        case $known in *" $pid "*) continue ;; esac
        case $known in *" $parent "*) ;; *) is_detached "$pid" || continue ;; esac
        known="$known $pid " found=yes
    done
done
for pid in $known; do kill -KILL "$pid"; done

# When this script ends, all of them have ended.
tries=100
while [ "$tries" -gt 0 ]; do
    left=
    for pid in $known; do look_at "$pid" && [ "$state" != Z ] && left=yes; done
    [ -z "$left" ] && break
    tries=$((tries - 1))
    sleep 0.05
done
